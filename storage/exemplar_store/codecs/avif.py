"""Lossy codec `avif`: the kept patches as one AVIF file. Small and slow: some 20 ms to write, 1 ms to read."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import features
from pydantic import Field

from exemplar_store.codecs.strip import StripCodec, pillow_bytes, pillow_pixels
from exemplar_store.errors import UnsupportedFormat

SPEED = 6  # of 0 to 10; slower ones gain little on strips this small


class Avif(StripCodec):
    """AV1 still picture.

    Attributes:
        quality: 0 to 100.
        subsampling: chroma subsampling.

    Raises:
        UnsupportedFormat: when coding or decoding, if this Pillow was built without AVIF.
    """

    name: ClassVar[str] = "avif"
    max_width: ClassVar[int] = 65535
    quality: Annotated[int, Field(ge=0, le=100)] = 85
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"

    def write(self, strip: NDArray[np.uint8]) -> bytes:
        _require()
        # One thread: the number of threads shows in the bytes.
        return pillow_bytes(
            strip, "AVIF", quality=self.quality, subsampling=self.subsampling, speed=SPEED, max_threads=1
        )

    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        _require()
        return pillow_pixels(payload, "AVIF", height, width)


def _require() -> None:
    if not features.check("avif"):
        raise UnsupportedFormat(
            "codec avif: this Pillow was built without AVIF; install Pillow 11.3 or newer from PyPI"
        )

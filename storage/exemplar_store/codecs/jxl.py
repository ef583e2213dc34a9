"""Codec `jxl`: the kept patches as one JPEG XL file (ISO/IEC 18181), lossy or lossless. Needs imagecodecs."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exemplar_store.codecs.strip import StripCodec
from exemplar_store.errors import UnsupportedFormat


class Jxl(StripCodec):
    """JPEG XL.

    Attributes:
        distance: Butteraugli distance; 1 is visually lossless, 0 is lossless.
        effort: of the encoder, 1 to 9.

    Raises:
        UnsupportedFormat: when coding or decoding, if imagecodecs is not installed.
    """

    name: ClassVar[str] = "jxl"
    max_width: ClassVar[int] = 1 << 18
    distance: Annotated[float, Field(ge=0, le=15)] = 1.0
    effort: Annotated[int, Field(ge=1, le=9)] = 4

    def write(self, strip: NDArray[np.uint8]) -> bytes:
        lossless = self.distance == 0
        coded = _imagecodecs().jpegxl_encode(
            strip, distance=self.distance, lossless=lossless, effort=self.effort, numthreads=1
        )
        return bytes(coded)

    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        library = _imagecodecs()
        strip = np.empty((height, width, 3), np.uint8)
        try:  # a picture of another size does not fit the array that it is given, and is refused
            library.jpegxl_decode(payload, out=strip, numthreads=1)
        except (library.JpegxlError, RuntimeError) as error:  # the latter for what is no JPEG XL file at all
            raise ValueError(f"jxl payload does not decode: {error}") from error
        return strip


def _imagecodecs() -> Any:
    try:
        return import_module("imagecodecs")
    except ModuleNotFoundError as error:
        raise UnsupportedFormat("codec jxl: needs the package imagecodecs; pip install 'dist-mcl[jxl]'") from error

"""Codecs `webp` (lossy) and `webp-lossless`: the kept patches as one WebP file (RFC 9649)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exemplar_store.codecs.strip import StripCodec, pillow_bytes, pillow_pixels

METHOD = 4  # libwebp's default effort; 6 saves 1 % of the bytes in thrice the time


class Webp(StripCodec):
    """Lossy: smaller than JPEG at equal error, and some ten times slower to write.

    Attributes:
        quality: libwebp quality, 0 to 100.
    """

    name: ClassVar[str] = "webp"
    max_width: ClassVar[int] = 16383
    quality: Annotated[int, Field(ge=0, le=100)] = 90

    def write(self, strip: NDArray[np.uint8]) -> bytes:
        return pillow_bytes(strip, "WEBP", quality=self.quality, method=METHOD)

    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        return pillow_pixels(payload, "WEBP", height, width)


class WebpLossless(StripCodec):
    """Every pixel as it was, in about half of the raw bytes."""

    name: ClassVar[str] = "webp-lossless"
    max_width: ClassVar[int] = 16383

    def write(self, strip: NDArray[np.uint8]) -> bytes:
        return pillow_bytes(strip, "WEBP", lossless=True, quality=80, method=METHOD)

    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        return pillow_pixels(payload, "WEBP", height, width)

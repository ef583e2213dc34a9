"""Lossy codec `jpeg`: the kept patches as one horizontal JPEG strip, without the parts that all strips share.

A baseline JPEG of a few 16-px patches is mostly tables: 623 bytes of markers against some 900 of picture. All strips of
one quality share them, so they are stored once, in the codec's parameters, and a payload is the entropy-coded data of
the one scan alone (the idea of the abbreviated format, ITU-T T.81 section B.4). A 16-px patch is one 4:2:0 MCU, so no
coded block straddles two patches.
"""

from __future__ import annotations

import base64
import io
import struct
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from exemplar_store.codecs.jpeg_scan import take_patches
from exemplar_store.codecs.strip import StripCodec, pillow_bytes
from exemplar_store.errors import StoreError

START_OF_FRAME, START_OF_SCAN = 0xC0, 0xDA
APPLICATION_0 = 0xE0
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
WIDTH_IN_FRAME = 7  # marker 2, length 2, precision 1, height 2, then the width


class Jpeg(StripCodec):
    """uint8 RGB patches ``(n, patch, patch, 3)``, side by side, as baseline JPEG.

    Attributes:
        quality: libjpeg quality, 1 to 95.
        subsampling: chroma subsampling. ``4:4:4`` keeps patch colours apart at 30 % more bytes.
        header: base64 of everything before the entropy-coded data, the frame's width left 0. Computed when not given.
        width_at: where in the header the width belongs, 2 bytes, big-endian. Computed when not given.
    """

    name: ClassVar[str] = "jpeg"
    max_width: ClassVar[int] = 65535  # the frame header holds the width in two bytes (T.81 B.2.2)
    quality: Annotated[int, Field(ge=1, le=95)] = 90
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    header: str = Field(default_factory=lambda known: _shared_header(known)[0])
    width_at: int = Field(default_factory=lambda known: _shared_header(known)[1], ge=0)

    def write(self, strip: NDArray[np.uint8]) -> bytes:
        header, _, scan = _split(pillow_bytes(strip, "JPEG", quality=self.quality, subsampling=self.subsampling))
        if header != base64.b64decode(self.header):
            raise StoreError(
                "codec jpeg: this Pillow writes other JPEG tables than the ones in the parameters; "
                "make a new Jpeg codec with the same quality"
            )
        return scan

    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        before, after = self._header_around_width
        stream = b"".join((before, struct.pack(">H", width), after, payload, END_OF_IMAGE))
        return np.asarray(Image.frombytes("RGB", (width, height), stream, "jpeg", "RGB", ""))

    def take(self, payload: bytes, count: int, kept: NDArray[np.bool_]) -> bytes:
        """As `Codec.take`; the coefficients are the same, the colour of a patch's edge may follow its new neighbour."""
        if not kept.any():
            return b""
        try:
            return take_patches(base64.b64decode(self.header), payload, self.patch, count, kept)
        except ValueError as error:
            raise StoreError(f"codec jpeg: patches cannot be dropped: {error}") from error

    @cached_property
    def _header_around_width(self) -> tuple[bytes, bytes]:
        """The header before and behind the two bytes of the width.

        Parsing markers takes as long as decoding some 20 patches, so it is done here, once, and not for every payload:
        a header that is right for two widths that have no byte in common is right for all.

        Raises:
            ValueError, OSError, SyntaxError: the header does not describe an RGB strip of one token's height.
        """
        header, height = base64.b64decode(self.header, validate=True), (self.frames or 1) * self.patch
        before, after = header[: self.width_at], header[self.width_at + 2 :]
        for width in (0x1234, 0x5678):
            image = Image.open(io.BytesIO(before + struct.pack(">H", width) + after), formats=["JPEG"])
            if image.size != (width, height) or image.mode != "RGB":
                raise ValueError(f"JPEG header describes {image.mode} {image.size}, not RGB {(width, height)}")
        return before, after


def whole_image_bytes(pixels: NDArray[np.uint8], quality: int = 90, subsampling: str = "4:2:0") -> int:
    """Size in bytes of the JPEG file that a user would store instead of the kept patches.

    Args:
        pixels: uint8 (height, width, 3). Optimised Huffman tables are used, the smallest baseline file that Pillow
            writes, so that the comparison does not flatter the store.
    """
    return len(pillow_bytes(pixels, "JPEG", quality=quality, subsampling=subsampling, optimize=True))


def _split(jpeg: bytes) -> tuple[bytes, int, bytes]:
    """Header with the width zeroed, where the width belongs, and the entropy-coded data of a one-scan JPEG.

    Huffman tables are libjpeg's fixed ones (T.81 tables K.3 to K.6), hence equal for all strips. The JFIF marker says
    nothing that the frame does not.
    """
    header, width_at, at = bytearray(START_OF_IMAGE), 0, len(START_OF_IMAGE)
    marker = 0
    while marker != START_OF_SCAN:
        marker = jpeg[at + 1]
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker == START_OF_FRAME:
            width_at = len(header) + WIDTH_IN_FRAME
        if marker != APPLICATION_0:
            header += jpeg[at:end]
        at = end
    header[width_at : width_at + 2] = b"\0\0"
    return bytes(header), width_at, jpeg[at : -len(END_OF_IMAGE)]


def _shared_header(known: dict[str, Any]) -> tuple[str, int]:
    if not {"quality", "subsampling", "patch", "frames"} <= known.keys():  # one was refused; pydantic says which
        return "", 0
    grey = np.zeros(((known["frames"] or 1) * known["patch"], known["patch"], 3), np.uint8)
    jpeg = pillow_bytes(grey, "JPEG", quality=known["quality"], subsampling=known["subsampling"])
    header, width_at, _ = _split(jpeg)
    return base64.b64encode(header).decode("ascii"), width_at

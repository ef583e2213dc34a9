"""Lossy codec `jpeg`: the kept patches as one horizontal JPEG strip, without the parts that all strips share.

A baseline JPEG of a few 16-px patches is mostly tables: 623 bytes of markers against some 900 of picture. All strips of
one quality share them, so they are stored once, in the codec's parameters, and a payload is the entropy-coded data of
the one scan alone (the idea of the abbreviated format, ITU-T T.81 section B.4). A 16-px patch is one 4:2:0 MCU, so no
coded block straddles two patches.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from exemplar_store.codecs.base import Codec
from exemplar_store.errors import StoreError

START_OF_FRAME, START_OF_SCAN = 0xC0, 0xDA
APPLICATION_0 = 0xE0
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
MAX_WIDTH = 65535  # SOF holds the width in two bytes (T.81 B.2.2)
WIDTH_IN_FRAME = 7  # marker 2, length 2, precision 1, height 2, then the width


class Jpeg(Codec):
    """uint8 RGB patches ``(n, patch, patch, 3)``, side by side, as baseline JPEG.

    Attributes:
        quality: libjpeg quality, 1 to 95.
        subsampling: chroma subsampling. ``4:4:4`` keeps patch colours apart at 30 % more bytes.
        patch: side of a patch in pixels.
        header: base64 of everything before the entropy-coded data, the frame's width left 0. Computed when not given.
        width_at: where in the header the width belongs, 2 bytes, big-endian. Computed when not given.
    """

    name: ClassVar[str] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=95)] = 90
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    patch: Annotated[int, Field(ge=1, le=256)] = 16
    header: str = Field(default_factory=lambda known: _shared_header(known)[0])
    width_at: int = Field(default_factory=lambda known: _shared_header(known)[1], ge=0)

    def encode(self, values: NDArray[Any]) -> bytes:
        side = (self.patch, self.patch, 3)
        if values.dtype != np.uint8 or values.shape[1:] != side:
            raise StoreError(f"codec jpeg: patches are uint8 (n, {side}), not {values.dtype} {values.shape}")
        if len(values) * self.patch > MAX_WIDTH:
            raise StoreError(
                f"codec jpeg: {len(values)} patches of {self.patch} px make a strip wider than "
                f"{MAX_WIDTH} px; use codec raw or a smaller grid"
            )
        if len(values) == 0:
            return b""
        header, _, scan = _split(_strip_jpeg(values, self.quality, self.subsampling))
        if header != base64.b64decode(self.header):
            raise StoreError(
                "codec jpeg: this Pillow writes other JPEG tables than the ones in the parameters; "
                "make a new Jpeg codec with the same quality"
            )
        return scan

    def decode(self, payload: bytes, count: int) -> NDArray[np.uint8]:
        if bool(payload) != bool(count):
            raise ValueError(f"jpeg payload has {len(payload)} bytes for {count} patches")
        if count == 0:
            return np.empty((0, self.patch, self.patch, 3), np.uint8)
        width = count * self.patch
        before, after = self._header_around_width
        stream = b"".join((before, struct.pack(">H", width), after, payload, END_OF_IMAGE))
        try:
            strip = Image.frombytes("RGB", (width, self.patch), stream, "jpeg", "RGB", "")
        except OSError as error:
            raise ValueError(f"jpeg payload does not decode: {error}") from error
        pixels = np.asarray(strip).reshape(self.patch, count, self.patch, 3)
        return np.ascontiguousarray(pixels.swapaxes(0, 1))

    @cached_property
    def _header_around_width(self) -> tuple[bytes, bytes]:
        """The header before and behind the two bytes of the width.

        Parsing markers takes as long as decoding some 20 patches, so it is done here, once, and not for every payload:
        a header that is right for two widths that have no byte in common is right for all.

        Raises:
            ValueError: the header does not describe an RGB strip of one patch's height.
        """
        try:
            header = base64.b64decode(self.header, validate=True)
            before, after = header[: self.width_at], header[self.width_at + 2 :]
            for width in (0x1234, 0x5678):
                image = Image.open(io.BytesIO(before + struct.pack(">H", width) + after), formats=["JPEG"])
                if image.size != (width, self.patch) or image.mode != "RGB":
                    raise ValueError(f"jpeg header describes {image.mode} {image.size}, not RGB {(width, self.patch)}")
        except (OSError, struct.error, binascii.Error, SyntaxError) as error:
            raise ValueError(f"jpeg header cannot be read: {error}") from error
        return before, after


def whole_image_bytes(pixels: NDArray[np.uint8], quality: int = 90, subsampling: str = "4:2:0") -> int:
    """Size in bytes of the JPEG file that a user would store instead of the kept patches.

    Args:
        pixels: uint8 (height, width, 3). Optimised Huffman tables are used, the smallest baseline file that Pillow
            writes, so that the comparison does not flatter the store.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
    return len(buffer.getvalue())


def _strip_jpeg(values: NDArray[np.uint8], quality: int, subsampling: str) -> bytes:
    height, width = values.shape[1], values.shape[0] * values.shape[2]
    strip = values.swapaxes(0, 1).reshape(height, width, 3)
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


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
    if not {"quality", "subsampling", "patch"} <= known.keys():  # one of them was refused; pydantic says which
        return "", 0
    grey = np.zeros((1, known["patch"], known["patch"], 3), np.uint8)
    header, width_at, _ = _split(_strip_jpeg(grey, known["quality"], known["subsampling"]))
    return base64.b64encode(header).decode("ascii"), width_at

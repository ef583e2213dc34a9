"""Patches as one picture: the shape in which every image codec gets them.

The kept patches lie side by side in a strip, first position leftmost; the frames of a tubelet lie under each other.
No arrangement that was measured codes smaller, and patches of 16 px share no block of JPEG or WebP.
"""

from __future__ import annotations

import io
import struct
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from exemplar_store.codecs.base import Codec
from exemplar_store.errors import StoreError


class StripCodec(Codec):
    """uint8 RGB patches ``(n, patch, patch, 3)`` or tubelets ``(n, frames, patch, patch, 3)``, coded as one picture.

    No tokens have an empty payload.

    Attributes:
        patch: side of a patch in pixels.
        frames: frames of a tubelet; None for patches of still pictures.
        max_width: widest picture that the codec's file format holds, in pixels.
    """

    max_width: ClassVar[int]
    patch: Annotated[int, Field(ge=1, le=256)] = 16
    frames: Annotated[int, Field(ge=1, le=256)] | None = None

    @property
    def token_shape(self) -> tuple[int, ...]:
        return (*(() if self.frames is None else (self.frames,)), self.patch, self.patch, 3)

    def encode(self, values: NDArray[Any]) -> bytes:
        if values.dtype != np.uint8 or values.shape[1:] != self.token_shape:
            raise StoreError(
                f"codec {self.name}: patches are uint8 (n, {self.token_shape}), not {values.dtype} {values.shape}"
            )
        if len(values) * self.patch > self.max_width:
            raise StoreError(
                f"codec {self.name}: {len(values)} patches of {self.patch} px make a strip wider than "
                f"{self.max_width} px; use codec predicted or raw, or a smaller grid"
            )
        if len(values) == 0:
            return b""
        height = (self.frames or 1) * self.patch
        stacked = values.reshape(len(values), height, self.patch, 3)
        return self.write(np.ascontiguousarray(stacked.swapaxes(0, 1)).reshape(height, len(values) * self.patch, 3))

    def decode(self, payload: bytes, count: int) -> NDArray[np.uint8]:
        if bool(payload) != bool(count):
            raise ValueError(f"{self.name} payload has {len(payload)} bytes for {count} patches")
        if count == 0:
            return np.empty((0, *self.token_shape), np.uint8)
        height, width = (self.frames or 1) * self.patch, count * self.patch
        try:
            strip = self.read(payload, height, width)
        except (OSError, SyntaxError, struct.error) as error:
            raise ValueError(f"{self.name} payload does not decode: {error}") from error
        stacked = strip.reshape(height, count, self.patch, 3).swapaxes(0, 1)
        return np.ascontiguousarray(stacked).reshape(count, *self.token_shape)

    @abstractmethod
    def write(self, strip: NDArray[np.uint8]) -> bytes:
        """The payload of a picture, uint8 (height, width, 3)."""

    @abstractmethod
    def read(self, payload: bytes, height: int, width: int) -> NDArray[np.uint8]:
        """The picture of a payload.

        Raises:
            ValueError, OSError, SyntaxError: it is damaged, or not RGB of that size. A larger one is not unpacked.
        """


def pillow_bytes(strip: NDArray[np.uint8], file_format: str, **options: Any) -> bytes:
    """A picture file as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, file_format, **options)
    return buffer.getvalue()


def pillow_pixels(data: bytes, file_format: str, height: int, width: int) -> NDArray[np.uint8]:
    """The pixels of a picture file, uint8 (height, width, 3); its header is checked before anything is unpacked."""
    image = Image.open(io.BytesIO(data), formats=[file_format])
    if image.size != (width, height) or image.mode != "RGB":
        raise ValueError(f"{file_format} file describes {image.mode} {image.size}, not RGB {(width, height)}")
    return np.asarray(image)

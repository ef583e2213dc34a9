"""Lossy codecs for feature vectors: `bfloat16`, 2 bytes a number, and `int8`, 1 byte a number with a scale per channel.

Both give float32 back. float16 vectors are stored exactly by `Shuffled`.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from exemplar_store.codecs.base import Codec
from exemplar_store.codecs.shuffled import pack, unpack
from exemplar_store.errors import StoreError

BFLOAT16_INFINITY = 0x7F80
INT8_LIMIT = 127


class Bfloat16(Codec):
    """float32 vectors ``(n, channels)`` rounded to bfloat16: the upper half of a float32, to nearest, ties to even.

    What a model computed in bfloat16 comes back exactly.

    Attributes:
        channels: length of a vector.
    """

    name: ClassVar[str] = "bfloat16"
    channels: Annotated[int, Field(gt=0)]

    def encode(self, values: NDArray[Any]) -> bytes:
        _check_vectors(self.name, values, self.channels)
        bits = np.ascontiguousarray(values).view(np.uint32)
        halves = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        if np.any(halves & BFLOAT16_INFINITY == BFLOAT16_INFINITY):
            raise StoreError("codec bfloat16: a value is infinite, not a number, or too large for bfloat16")
        return pack(halves)

    def decode(self, payload: bytes, count: int) -> NDArray[np.float32]:
        halves = unpack(payload, "<u2", (count, self.channels))
        return (halves.astype(np.uint32) << 16).view(np.float32)


class Int8(Codec):
    """float32 vectors ``(n, channels)`` as whole multiples, -127 to 127, of a scale per channel; larger ones saturate.

    Channels have scales of their own since in transformers a few are a hundred times as large as the rest.

    Attributes:
        scales: base64 of the scales, float32 little-endian ``(channels,)``, all finite and positive.
    """

    name: ClassVar[str] = "int8"
    scales: str

    @classmethod
    def calibrated(cls, values: NDArray[np.floating[Any]]) -> Int8:
        """The codec whose scales just hold all of ``values (n, channels)``.

        Raises:
            StoreError: there are no values, or some are not finite.
        """
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise StoreError(f"codec int8: calibrate with finite vectors (n, channels), not {values.shape}")
        largest = np.abs(values.astype(np.float32)).max(axis=0)
        scales = np.where(largest > 0, largest / INT8_LIMIT, 1).astype("<f4")
        return cls(scales=base64.b64encode(scales.tobytes()).decode("ascii"))

    @field_validator("scales")
    @classmethod
    def _usable(cls, text: str) -> str:
        scales = _scales(text)
        if not scales.size or not np.isfinite(scales).all() or scales.min() <= 0:
            raise ValueError("scales must be finite and positive")
        return text

    def encode(self, values: NDArray[Any]) -> bytes:
        scales = _scales(self.scales)
        _check_vectors(self.name, values, len(scales))
        if not np.isfinite(values).all():
            raise StoreError("codec int8: a value is infinite or not a number")
        return pack(np.clip(np.rint(values / scales), -INT8_LIMIT, INT8_LIMIT).astype(np.int8))

    def decode(self, payload: bytes, count: int) -> NDArray[np.float32]:
        scales = _scales(self.scales)
        return unpack(payload, "|i1", (count, len(scales))) * scales


def _scales(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def _check_vectors(codec: str, values: NDArray[Any], channels: int) -> None:
    if values.dtype != np.float32 or values.shape[1:] != (channels,):
        raise StoreError(f"codec {codec}: vectors are float32 (n, {channels}), not {values.dtype} {values.shape}")

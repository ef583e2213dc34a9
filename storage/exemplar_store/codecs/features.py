"""Lossy codecs for floats: `bfloat16`, 2 bytes a number, and `int8`, 1 byte a number with scales.

Both give float32 back. float16 is stored exactly by `Shuffled`.
"""

from __future__ import annotations

import base64
import math
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from exemplar_store.codecs.base import Codec
from exemplar_store.codecs.shuffled import pack, unpack
from exemplar_store.errors import StoreError

BFLOAT16_INFINITY = 0x7F80
INT8_LIMIT = 127


TokenShape = tuple[Annotated[int, Field(gt=0)], ...]


class Bfloat16(Codec):
    """float32 values ``(n, *token_shape)`` rounded to bfloat16: the upper half of a float32, to nearest, ties to even.

    What a model computed in bfloat16 comes back exactly.

    Attributes:
        token_shape: shape of one token, e.g. the length of a feature vector.
    """

    name: ClassVar[str] = "bfloat16"
    token_shape: TokenShape

    def encode(self, values: NDArray[Any]) -> bytes:
        _check(self.name, values, self.token_shape)
        bits = np.ascontiguousarray(values).view(np.uint32)
        halves = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        if np.any(halves & BFLOAT16_INFINITY == BFLOAT16_INFINITY):
            raise StoreError("codec bfloat16: a value is infinite, not a number, or too large for bfloat16")
        return pack(halves)

    def decode(self, payload: bytes, count: int) -> NDArray[np.float32]:
        halves = unpack(payload, "<u2", (count, *self.token_shape))
        return (halves.astype(np.uint32) << 16).view(np.float32)


class Int8(Codec):
    """float32 values ``(n, *token_shape)`` as whole multiples, -127 to 127, of scales; larger values saturate.

    Every number of a token has a scale of its own, since in transformers a few channels are a hundred times as large as
    the rest. Make the codec with `calibrated`.

    Attributes:
        token_shape: shape of one token, e.g. the number of channels of a feature vector.
        scales: base64 of the scales, float32 little-endian ``token_shape``, all finite and positive.
    """

    name: ClassVar[str] = "int8"
    token_shape: TokenShape
    scales: str

    @classmethod
    def calibrated(cls, values: NDArray[np.floating[Any]]) -> Int8:
        """The codec whose scales just hold all of ``values (n, *token_shape)``.

        Raises:
            StoreError: there are no values, or some are not finite.
        """
        if values.ndim < 1 or not values.size or not np.isfinite(values).all():
            raise StoreError(f"codec int8: calibrate with finite values of at least one token, not {values.shape}")
        largest = np.abs(values.astype(np.float32)).max(axis=0)
        scales = np.where(largest > 0, largest / INT8_LIMIT, 1).astype("<f4")
        return cls(token_shape=values.shape[1:], scales=base64.b64encode(scales.tobytes()).decode("ascii"))

    @model_validator(mode="after")
    def _usable(self) -> Int8:
        scales = np.frombuffer(base64.b64decode(self.scales, validate=True), "<f4")
        if scales.size != math.prod(self.token_shape) or not np.isfinite(scales).all() or scales.min() <= 0:
            raise ValueError(f"scales must be {math.prod(self.token_shape)} finite and positive numbers")
        return self

    def encode(self, values: NDArray[Any]) -> bytes:
        _check(self.name, values, self.token_shape)
        if not np.isfinite(values).all():
            raise StoreError("codec int8: a value is infinite or not a number")
        return pack(np.clip(np.rint(values / self._scales), -INT8_LIMIT, INT8_LIMIT).astype(np.int8))

    def decode(self, payload: bytes, count: int) -> NDArray[np.float32]:
        return unpack(payload, "|i1", (count, *self.token_shape)) * self._scales

    @cached_property
    def _scales(self) -> NDArray[np.float32]:
        return np.frombuffer(base64.b64decode(self.scales), "<f4").reshape(self.token_shape)


def _check(codec: str, values: NDArray[Any], token_shape: tuple[int, ...]) -> None:
    if values.dtype != np.float32 or values.shape[1:] != token_shape:
        raise StoreError(f"codec {codec}: values are float32 (n, {token_shape}), not {values.dtype} {values.shape}")

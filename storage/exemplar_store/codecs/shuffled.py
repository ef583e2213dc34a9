"""Lossless codec `shuffled`: first bytes of all numbers first, last bytes last, then zstd (RFC 8878).

The bytes of a float16 that hold sign and exponent are alike, those of its mantissa are not: apart they code 5 to 10 %
smaller than bit by bit, and 10 to 15 % smaller than as they lie.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numcodecs.zstd import compress
from numpy.typing import NDArray

from exemplar_store.codecs.raw import Raw
from exemplar_store.zstd import unpack_frame

LEVEL = 9


class Shuffled(Raw):
    """Values of any dtype and token shape, as `Raw`, in fewer bytes: features, log-mel patches, groups of points."""

    name: ClassVar[str] = "shuffled"

    def encode(self, values: NDArray[Any]) -> bytes:
        self.check(values)
        return pack(values)

    def decode(self, payload: bytes, count: int) -> NDArray[Any]:
        return unpack(payload, self.dtype, (count, *self.token_shape))


def pack(values: NDArray[Any]) -> bytes:
    """Little-endian values byte-shuffled and compressed; nothing for no values."""
    if values.size == 0:
        return b""
    columns = np.ascontiguousarray(values).reshape(-1, 1).view(np.uint8)
    return bytes(compress(np.ascontiguousarray(columns.T), LEVEL))


def unpack(payload: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The values that were packed.

    Raises:
        ValueError: the payload does not hold values of that dtype and shape. Nothing is allocated on its word.
    """
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if size == 0 and not payload:
        return np.empty(shape, dtype)
    shuffled = np.frombuffer(unpack_frame(payload, size), np.uint8)
    columns = shuffled.reshape(np.dtype(dtype).itemsize, -1).T.copy(order="C")  # callers may change it
    return columns.view(dtype).reshape(shape)

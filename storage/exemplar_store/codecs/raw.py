"""Lossless codec `raw`: the values as they lie in memory, little-endian. Any modality; for exact tests."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exemplar_store.codecs.base import Codec
from exemplar_store.errors import StoreError


class Raw(Codec):
    """C-ordered little-endian values of one dtype and token shape.

    Attributes:
        dtype: numpy type string of a little-endian or one-byte number, e.g. ``|u1``, ``<i4``, ``<f2``.
        token_shape: shape of one token.
    """

    name: ClassVar[str] = "raw"
    dtype: Annotated[str, Field(pattern=r"^(\|[iu]1|<[iuf][248])$")]
    token_shape: tuple[Annotated[int, Field(gt=0)], ...] = ()

    def encode(self, values: NDArray[Any]) -> bytes:
        self.check(values)
        return values.astype(self.dtype, copy=False).tobytes()

    def check(self, values: NDArray[Any]) -> None:
        """Refuse values of another dtype or token shape with a `StoreError`."""
        if values.dtype != np.dtype(self.dtype) or values.shape[1:] != self.token_shape:
            raise StoreError(
                f"codec {self.name}: values are {values.dtype} (n, {values.shape[1:]}), the codec was made for "
                f"{self.dtype} (n, {self.token_shape})"
            )

    def decode(self, payload: bytes, count: int) -> NDArray[Any]:
        size = np.dtype(self.dtype).itemsize * math.prod(self.token_shape) * count
        if len(payload) != size:
            raise ValueError(f"raw payload has {len(payload)} bytes, {count} tokens need {size}")
        return np.frombuffer(payload, self.dtype).reshape(count, *self.token_shape).copy()

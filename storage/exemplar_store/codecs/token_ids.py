"""Lossless codec `token-ids`: text token ids in 2 or 4 bytes each."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from exemplar_store.codecs.base import Codec
from exemplar_store.errors import StoreError


class TokenIds(Codec):
    """Token ids (n,), int32 in memory, little-endian unsigned on disk.

    Attributes:
        dtype: ``<u2`` for vocabularies of up to 65,536 entries, ``<u4`` above.
    """

    name: ClassVar[str] = "token-ids"
    dtype: Literal["<u2", "<u4"]

    @classmethod
    def for_vocabulary(cls, size: int) -> TokenIds:
        """The narrowest codec for a vocabulary of ``size`` entries."""
        return cls(dtype="<u2" if size <= 1 << 16 else "<u4")

    def encode(self, values: NDArray[Any]) -> bytes:
        largest = min(np.iinfo(self.dtype).max, np.iinfo(np.int32).max)
        if values.ndim != 1 or values.dtype != np.int32:
            raise StoreError(f"codec token-ids: ids are int32 (n,), not {values.dtype} {values.shape}")
        if values.size and (values.min() < 0 or values.max() > largest):
            raise StoreError(
                f"codec token-ids: ids run from {values.min()} to {values.max()}, {self.dtype} holds "
                f"0 to {largest}; give the vocabulary's true size to TokenIds.for_vocabulary"
            )
        return values.astype(self.dtype).tobytes()

    def decode(self, payload: bytes, count: int) -> NDArray[np.int32]:
        if len(payload) != count * np.dtype(self.dtype).itemsize:
            raise ValueError(f"token-ids payload has {len(payload)} bytes, {count} ids of {self.dtype} expected")
        ids = np.frombuffer(payload, self.dtype)
        if ids.size and ids.max() > np.iinfo(np.int32).max:
            raise ValueError(f"token id {ids.max()} does not fit int32")
        return ids.astype(np.int32)

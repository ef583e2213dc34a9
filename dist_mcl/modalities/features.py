"""Vectors as they are, in float16: table rows, sensor readings, features of an encoder of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.media import ARRAY_ERRORS, MediaError, decoding
from dist_mcl.tokens import Tokens

_NPY = b"\x93NUMPY"


@dataclass(frozen=True)
class Vectors:
    """Tokenizer of numbers: each row of a table is a token.

    Attributes:
        units: the rows are so many units of equal length, one after the other; None where they are one row of tokens.
    """

    units: int | None = None

    def read(self, file: BinaryIO) -> NDArray[np.float32]:
        """The rows of a .npy file, or of a text file of numbers separated by commas: float32 (n, channels).

        Raises:
            MediaError: it is neither, is empty, or has something else than numbers.
        """
        with decoding("table", *ARRAY_ERRORS):
            head = file.read(len(_NPY))
            file.seek(0)
            rows = np.load(file, allow_pickle=False) if head == _NPY else _numbers(file, head)
        if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
            raise MediaError(f"the table is {rows.dtype} {rows.shape}, not finite numbers (rows, columns)")
        return rows.astype(np.float32)

    def encode(self, media: NDArray[Any]) -> Tokens:
        """Vectors float16 (n, channels) on the grid (n,), or (units, n / units).

        Raises:
            ValueError: it is something else than float (n, channels), no whole units, or too large for float16.
        """
        if media.ndim != 2 or media.dtype.kind != "f" or not media.size:
            raise ValueError(f"features are float32 (n, channels), got {media.dtype} {media.shape}")
        if np.abs(media).max() > np.finfo(np.float16).max:
            raise ValueError(f"features reach {np.abs(media).max():.3g}, more than 65504; scale them down")
        if len(media) % (self.units or 1):
            raise ValueError(f"{len(media)} vectors are not {self.units} units of equal length")
        grid = (len(media),) if self.units is None else (self.units, len(media) // self.units)
        return Tokens.full(media.astype(np.float16), grid)

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """The table, float32 (n, channels); zeros where there is no token."""
        rows = np.zeros((math.prod(tokens.grid), tokens.values.shape[1]), np.float32)
        rows[tokens.positions] = tokens.values
        return rows


def _numbers(file: BinaryIO, head: bytes) -> NDArray[np.float64]:
    if not head:
        raise ValueError("it is empty")
    return np.loadtxt(file, delimiter=",", ndmin=2)

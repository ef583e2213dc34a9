"""`Tokens`: one modality of one sample, whole or masked. The type that the store and its users share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tokens:
    """The kept tokens of one modality of one sample, with the places they had in the full grid.

    A fresh sample keeps every token of its grid; a masked exemplar keeps fewer. Nothing else differs.

    Attributes:
        values: ``(n, *token_shape)`` in the modality's storage dtype, e.g. uint8 ``(n, 16, 16, 3)`` image patches,
            int32 ``(n,)`` token ids without special tokens.
        positions: int64 ``(n,)``, strictly increasing row-major indices into the flattened grid.
        grid: shape of the full token grid, e.g. ``(6, 6)`` for a 96 px picture in 16 px patches, ``(n_original,)``
            for text.

    Raises:
        ValueError: the number of positions differs from the number of values, the positions are not strictly
            increasing integers inside the grid, or the grid has a negative side.
        TypeError: ``values`` or ``positions`` is not a numpy array.
    """

    values: NDArray[Any]
    positions: NDArray[np.int64]
    grid: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, np.ndarray) or not isinstance(self.positions, np.ndarray):
            raise TypeError(
                f"Tokens: values and positions are numpy arrays, not {type(self.values).__name__} "
                f"and {type(self.positions).__name__}"
            )
        object.__setattr__(self, "grid", tuple(int(side) for side in self.grid))
        if not self.grid or min(self.grid) < 0:
            raise ValueError(f"Tokens: grid {self.grid} needs at least one side and no negative one")
        self._check_positions()

    def _check_positions(self) -> None:
        positions, total = self.positions, math.prod(self.grid)
        if positions.dtype != np.int64:
            raise ValueError(f"Tokens: positions are int64, not {positions.dtype}")
        if self.values.ndim < 1 or positions.shape != self.values.shape[:1]:
            raise ValueError(
                f"Tokens: positions have shape {positions.shape}, values {self.values.shape}; "
                "there is one position per value"
            )
        rising = (positions[1:] > positions[:-1]).all()
        if positions.size and (positions[0] < 0 or positions[-1] >= total or not rising):
            raise ValueError(
                f"Tokens: positions must increase strictly inside grid {self.grid} ({total} places), "
                f"got {positions.tolist()[:20]}"
            )

    @classmethod
    def full(cls, values: NDArray[Any], grid: tuple[int, ...]) -> Tokens:
        """Tokens of a whole sample: ``values`` in row-major order for every place of ``grid``."""
        return cls(values, np.arange(math.prod(grid), dtype=np.int64), grid)

    def take(self, kept: NDArray[Any]) -> Tokens:
        """The tokens that ``kept`` selects: a bool mask ``(n,)`` or increasing indices into ``values``."""
        return Tokens(self.values[kept], self.positions[kept], self.grid)

    @property
    def keep_ratio(self) -> float:
        """Share of the grid that is kept, 0 to 1 (1 for an empty grid: nothing was dropped)."""
        total = math.prod(self.grid)
        return len(self) / total if total else 1.0

    def __len__(self) -> int:
        return int(self.positions.shape[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokens):
            return NotImplemented
        return (
            self.grid == other.grid
            and self.values.dtype == other.values.dtype
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.positions, other.positions)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content and may change

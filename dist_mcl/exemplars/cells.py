"""From the cells that a language model is shown to the tokens that lie in them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dist_mcl.tokens import CellScores, Tokens

Floats = NDArray[np.float32]


def token_scores(cells: CellScores, tokens: Tokens) -> Floats:
    """A token's score is the largest of the cells in which it lies, so a cell is kept or dropped with all its tokens.

    Returns:
        (n,) of the tokens that there are.

    Raises:
        ValueError: the cells have more axes than the tokens.
    """
    if len(cells.grid) > len(tokens.grid):
        raise ValueError(f"cells on a grid {cells.grid} do not cover tokens on a grid {tokens.grid}")
    table = np.full(math.prod(cells.grid), -np.inf, np.float32)
    table[cells.positions] = cells.values
    table = table.reshape(cells.grid)
    shared = len(tokens.grid) - len(cells.grid)
    for axis, (places, count) in enumerate(zip(tokens.grid[shared:], cells.grid, strict=True)):
        parts = [table.take(_under(place, places, count), axis).max(axis) for place in range(places)]
        table = np.stack(parts, axis)
    return np.broadcast_to(table, tokens.grid).ravel()[tokens.positions]


def _under(place: int, places: int, count: int) -> range:
    """The cells of an axis in which a token's place lies."""
    return range(place * count // places, -(-(place + 1) * count // places))

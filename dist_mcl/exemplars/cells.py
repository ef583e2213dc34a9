"""From the cells that an encoder gives to the tokens that lie in them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dist_mcl.tokens import Tokens

Floats = NDArray[np.float32]


def token_scores(scores: Floats, cells: NDArray[np.int64], cell_grid: tuple[int, ...], tokens: Tokens) -> Floats:
    """A token's score is the largest of the cells in which it lies, so a cell is kept or dropped with all its tokens.

    Both grids cover the same medium. The cells' axes are the last ones of the tokens' grid; along others, such as the
    bins of a spectrogram whose cells are moments, tokens share a cell.

    Args:
        scores: (m,) of the cells that there are.
        cells: (m,) their flat positions on `cell_grid`.

    Returns:
        (n,) of the tokens that there are.

    Raises:
        ValueError: the cells have more axes than the tokens.
    """
    if len(cell_grid) > len(tokens.grid):
        raise ValueError(f"cells on a grid {cell_grid} do not cover tokens on a grid {tokens.grid}")
    table = np.full(math.prod(cell_grid), -np.inf, np.float32)
    table[cells] = scores
    table = table.reshape(cell_grid)
    shared = len(tokens.grid) - len(cell_grid)
    for axis, (places, count) in enumerate(zip(tokens.grid[shared:], cell_grid, strict=True)):
        parts = [table.take(_under(place, places, count), axis).max(axis) for place in range(places)]
        table = np.stack(parts, axis)
    return np.broadcast_to(table, tokens.grid).ravel()[tokens.positions]


def _under(place: int, places: int, count: int) -> range:
    """The cells of an axis in which a token's place lies."""
    return range(place * count // places, -(-(place + 1) * count // places))

"""Orders of one class's samples that are built one sample at a time, each the best next to those before it.

All of them work on L2-normalised features, do not depend on the order of the rows, and give ties to the lower id. So
every prefix is what the same rule would have chosen for a smaller memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]

# Float32 features of one picture differ by about 1e-7 with the batch that they were computed in: closer is a tie.
TIE = 1e-6


def herding(features: NDArray[Any], ids: NDArray[np.integer[Any]]) -> Order:
    """Order the samples of one class so that every prefix has a mean close to the mean of the class.

    iCaRL (arXiv 1611.07725, algorithm 4) on L2-normalised features; the means themselves are not normalised again.

    Args:
        features: (n, d) floats, one row a sample; rows of zeros stay zero.
        ids: (n,) the samples' ids, all different.

    Returns:
        int64 (n,): rows of `features`, best first.

    Raises:
        ValueError: shapes that do not fit, an id that occurs twice, or features that are not finite.
    """
    by_id, rows = in_order_of_ids("herding", features, ids)
    units, total = _normalised(rows), np.zeros(rows.shape[1])
    mean = units.mean(axis=0) if len(units) else total

    def closeness(left: Order, order: list[int]) -> NDArray[np.float64]:
        if order:
            np.add(total, units[order[-1]], out=total)
        return -np.linalg.norm(mean - (total + units[left]) / (len(order) + 1), axis=1)

    return by_id[one_by_one(len(ids), closeness)]


def k_center(features: NDArray[Any], ids: NDArray[np.integer[Any]]) -> Order:
    """Order the samples of one class so that every prefix leaves none of them far from all that are in it.

    The sample nearest to the mean of the class comes first, then always the one farthest from all before it: the greedy
    2-approximation of k-center, as in core-set selection (arXiv 1708.00489, algorithm 1).

    Args, returns and raises: as `herding`.
    """
    by_id, rows = in_order_of_ids("k_center", features, ids)
    units = _normalised(rows)
    distances = np.full(len(units), np.inf)

    def distance(left: Order, order: list[int]) -> NDArray[np.float64]:
        if not order:
            return -np.linalg.norm(units - units.mean(axis=0), axis=1)
        np.minimum(distances, np.linalg.norm(units - units[order[-1]], axis=1), out=distances)
        return distances[left]

    return by_id[one_by_one(len(ids), distance)]


def coverage(features: NDArray[Any], ids: NDArray[np.integer[Any]]) -> Order:
    """Order the samples of one class so that every sample has one much like it in every prefix.

    Greedy facility location: the next sample is the one that most raises the sum, over all samples, of the cosine
    similarity, from 0 to 1, to the most similar one that is chosen. It is CRAIG's objective (arXiv 1906.01827)
    with features in the place of gradients, so that it needs no backward pass. Time is cubic in n.

    Args, returns and raises: as `herding`.
    """
    by_id, rows = in_order_of_ids("coverage", features, ids)
    units = _normalised(rows)
    similarity = (1 + units @ units.T) / 2
    covered = np.zeros(len(units))

    def gain(left: Order, order: list[int]) -> NDArray[np.float64]:
        if order:
            np.maximum(covered, similarity[order[-1]], out=covered)
        return np.maximum(similarity[left] - covered, 0).sum(axis=1)

    return by_id[one_by_one(len(ids), gain)]


def one_by_one(count: int, value: Callable[[Order, list[int]], NDArray[np.float64]]) -> Order:
    """Take the most valuable row of those left, again and again; of those within `TIE` of it the first.

    Args:
        count: how many rows there are.
        value: of the rows that are left, int64 (m,) ascending, given those taken so far; called once for each taken.
    """
    left = np.arange(count, dtype=np.int64)
    order: list[int] = []
    while len(left):
        values = value(left, order)
        best = int(np.flatnonzero(values >= values.max() - TIE)[0])
        order.append(int(left[best]))
        left = np.delete(left, best)
    return np.array(order, dtype=np.int64)


def in_order_of_ids(
    name: str, values: NDArray[Any], ids: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The order of the ids, and a row of values for each in that order, as float64.

    Raises:
        ValueError: shapes that do not fit, an id that occurs twice, or values that are not finite.
    """
    if values.ndim != 2 or ids.shape != values.shape[:1]:
        raise ValueError(f"{name} needs (n, d) values and (n,) ids, got {values.shape} and {ids.shape}")
    if len(np.unique(ids)) != len(ids):
        raise ValueError(f"{name} needs ids that are all different")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} needs finite values")
    by_id = np.argsort(ids)
    return by_id, values[by_id].astype(np.float64)


def _normalised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)

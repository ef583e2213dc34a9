"""Which samples of a class are remembered first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Float32 features of one picture differ by about 1e-7 with the batch that they were computed in: closer is a tie.
_TIE = 1e-6


def herding(features: NDArray[Any], ids: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Order the samples of one class so that every prefix has a mean close to the mean of the class.

    iCaRL (arXiv 1611.07725, algorithm 4) on L2-normalised features; the means themselves are not normalised again.
    The order does not depend on the order of the rows. Ties go to the lower id.

    Args:
        features: (n, d) floats, one row a sample; rows of zeros stay zero.
        ids: (n,) the samples' ids, all different.

    Returns:
        int64 (n,): rows of `features`, best first.

    Raises:
        ValueError: shapes that do not fit, an id that occurs twice, or features that are not finite.
    """
    if features.ndim != 2 or ids.shape != features.shape[:1]:
        raise ValueError(f"herding needs (n, d) features and (n,) ids, got {features.shape} and {ids.shape}")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("herding needs ids that are all different")
    if not np.isfinite(features).all():
        raise ValueError("herding needs finite features")
    by_id = np.argsort(ids)
    units = _normalised(features[by_id].astype(np.float64))
    return by_id[_greedy(units)]


def _normalised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def _greedy(units: NDArray[np.float64]) -> NDArray[np.int64]:
    mean = units.mean(axis=0) if len(units) else units
    total = np.zeros(units.shape[1])
    left = np.arange(len(units), dtype=np.int64)
    order = []
    for count in range(1, len(units) + 1):
        distances = np.linalg.norm(mean - (total + units[left]) / count, axis=1)
        best = int(np.flatnonzero(distances <= distances.min() + _TIE)[0])
        order.append(left[best])
        total += units[left[best]]
        left = np.delete(left, best)
    return np.array(order, dtype=np.int64)

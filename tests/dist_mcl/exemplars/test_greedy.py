"""The orders that are built greedily, against what their papers print."""

from __future__ import annotations

import numpy as np
import pytest

from dist_mcl.exemplars import herding
from dist_mcl.exemplars.greedy import coverage, k_center


def units_of(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def clusters(seed: int, n: int = 25, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 1).astype(np.float32), rng.permutation(1000)[:n]


def printed_herding(features: np.ndarray, ids: np.ndarray) -> list[int]:
    """Algorithm 4 of iCaRL as it is printed, one candidate after the other."""
    units = [row / np.linalg.norm(row) for row in features.astype(np.float64)]
    mean = sum(units) / len(units)
    chosen: list[int] = []
    while len(chosen) < len(units):
        left = sorted(set(range(len(units))) - set(chosen), key=lambda row: ids[row])

        def distance(row: int) -> float:
            picked = [units[other] for other in [*chosen, row]]
            return round(float(np.linalg.norm(mean - sum(picked) / len(picked))), 6)

        chosen.append(min(left, key=distance))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_herding_is_the_printed_algorithm(seed: int) -> None:
    features, ids = clusters(seed)
    assert herding(features, ids).tolist() == printed_herding(features, ids)


def test_herding_hand_computed() -> None:
    # The mean of the unit vectors lies on the diagonal, next to the third; the other two are as good as each other.
    features = np.array([[3.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    assert herding(features, np.array([4, 9, 7])).tolist() == [2, 0, 1]
    assert herding(features, np.array([9, 4, 7])).tolist() == [2, 1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_k_center_takes_the_farthest_and_is_a_2_approximation(seed: int) -> None:
    features, ids = clusters(seed, n=9)
    units, order = units_of(features.astype(np.float64)), k_center(features, ids).tolist()
    apart = np.linalg.norm(units[:, None] - units[None], axis=2)
    for size in range(1, len(order)):
        nearest = apart[:, order[:size]].min(axis=1)
        assert nearest[order[size]] == pytest.approx(nearest.max(), abs=1e-6)
    best = min(apart[:, [a, b, c]].min(axis=1).max() for a in range(9) for b in range(a) for c in range(b))
    assert apart[:, order[:3]].min(axis=1).max() <= 2 * best


@pytest.mark.parametrize("seed", range(3))
def test_coverage_takes_the_greatest_gain_each_time(seed: int) -> None:
    features, ids = clusters(seed, n=12)
    units, order = units_of(features.astype(np.float64)), coverage(features, ids).tolist()
    similarity = (1 + units @ units.T) / 2

    def covered(chosen: list[int]) -> float:
        return float(similarity[:, chosen].max(axis=1).sum())

    for size in range(len(order)):
        gains = [covered([*order[:size], other]) for other in order[size:]]
        assert gains[0] == pytest.approx(max(gains), abs=1e-6)


def test_three_crowds_and_an_outlier() -> None:
    """Coverage visits the crowds by size, k-center goes to the outlier, herding leaves it for late."""
    crowds = np.repeat([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], [6, 4, 3], axis=0)
    features, ids = np.concatenate([crowds, [[-1.0, -1, 0]]]), np.arange(14)
    assert coverage(features, ids)[:3].tolist() == [0, 6, 10]
    assert 13 in k_center(features, ids)[:2]
    assert 13 not in herding(features, ids)[:5]

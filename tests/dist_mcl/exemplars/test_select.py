import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dist_mcl.exemplars import herding


def brute_force(features: np.ndarray, ids: np.ndarray) -> list[int]:
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


def clusters(seed: int, n: int = 25, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 1).astype(np.float32), rng.permutation(1000)[:n]


@pytest.mark.parametrize("seed", range(5))
def test_is_the_printed_algorithm(seed: int) -> None:
    features, ids = clusters(seed)
    assert herding(features, ids).tolist() == brute_force(features, ids)


def test_hand_computed() -> None:
    # The mean of the unit vectors lies on the diagonal, next to the third; the other two are as good as each other.
    features = np.array([[3.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    assert herding(features, np.array([4, 9, 7])).tolist() == [2, 0, 1]
    assert herding(features, np.array([9, 4, 7])).tolist() == [2, 1, 0]


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_neither_the_order_nor_the_length_of_the_rows_matters(seed: int, scale: float) -> None:
    features, ids = clusters(seed % 50)
    shuffled = np.random.default_rng(seed).permutation(len(ids))
    order = ids[herding(features, ids)]
    assert np.array_equal(ids[shuffled][herding(features[shuffled] * scale, ids[shuffled])], order)


def test_ties_go_to_the_lower_id_and_equal_features_survive_noise() -> None:
    features = np.ones((4, 3), np.float32)
    assert herding(features, np.array([7, 3, 9, 1])).tolist() == [3, 1, 0, 2]
    noisy = features + np.array([[0], [1], [2], [3]], np.float32) * [1e-7, 0, 0]
    assert herding(noisy, np.array([7, 3, 9, 1])).tolist() == [3, 1, 0, 2]


def test_a_row_of_zeros_and_small_classes_are_ordered_too() -> None:
    assert herding(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.arange(3)).tolist() == [1, 0, 2]
    assert herding(np.zeros((0, 4)), np.zeros(0, np.int64)).tolist() == []
    assert herding(np.ones((1, 4)), np.array([5])).tolist() == [0]


def test_refuses_what_has_no_order() -> None:
    with pytest.raises(ValueError, match="all different"):
        herding(np.ones((2, 2)), np.array([1, 1]))
    with pytest.raises(ValueError, match="finite"):
        herding(np.array([[np.nan, 1.0]]), np.array([1]))
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        herding(np.ones((3, 2)), np.array([1, 2]))

import numpy as np
import pytest

from exemplar_store import Tokens


def patches(n: int) -> np.ndarray:
    return np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3)


def test_full_keeps_every_place_and_take_keeps_positions() -> None:
    whole = Tokens.full(patches(6), (2, 3))
    assert len(whole) == 6 and whole.keep_ratio == 1.0
    kept = whole.take(np.array([True, False, False, True, False, True]))
    assert kept.positions.tolist() == [0, 3, 5]
    assert kept.keep_ratio == 0.5
    assert np.array_equal(kept.values, whole.values[[0, 3, 5]])
    assert kept == whole.take(np.array([0, 3, 5])) and kept != whole


def test_empty_text_is_allowed() -> None:
    empty = Tokens.full(np.zeros(0, np.int32), (0,))
    assert len(empty) == 0 and empty.keep_ratio == 1.0


@pytest.mark.parametrize("positions", [[0, 0], [1, 0], [-1, 2], [3, 6]])
def test_positions_increase_strictly_inside_the_grid(positions: list[int]) -> None:
    with pytest.raises(ValueError, match="increase strictly"):
        Tokens(patches(2), np.array(positions, np.int64), (2, 3))


@pytest.mark.parametrize(
    ("positions", "grid", "message"),
    [
        (np.array([0]), (2, 3), "one position per value"),
        (np.array([0, 1], np.int32), (2, 3), "int64"),
        (np.array([0, 1]), (-2, 3), "negative"),
        (np.array([0, 1]), (), "at least one side"),
    ],
)
def test_bad_shapes_are_named(positions: np.ndarray, grid: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tokens(patches(2), positions, grid)


def test_lists_are_refused() -> None:
    with pytest.raises(TypeError, match="numpy arrays"):
        Tokens([1, 2], np.array([0, 1]), (2,))  # type: ignore[arg-type]

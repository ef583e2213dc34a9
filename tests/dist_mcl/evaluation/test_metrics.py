import json

import numpy as np
import pytest

from dist_mcl.evaluation import METRICS, AccuracyMatrix, accuracy_macro, accuracy_pooled, summarise

R = [[0.90, 0.10, 0.05, 0.02], [0.95, 0.80, 0.12, 0.06], [0.70, 0.75, 0.85, 0.10], [0.60, 0.82, 0.80, 0.90]]
ITEMS = [1000, 500, 500, 200]


def reference() -> AccuracyMatrix:
    return AccuracyMatrix.from_rows(R, ITEMS, [0.02] * 4)


# What each library's own function returned for R, in percent with two decimals (executed, not read off a paper).
LIBRARIES = [
    ("Renate", "bwt_gem", -11.00),
    ("Renate", "forgetting_max_prev", 12.67),
    ("Renate", "fwt_gem", 8.67),
    ("Mammoth", "bwt_gem", -11.00),
    ("Mammoth", "forgetting_max_all", 13.33),
    ("Mammoth", "fwt_gem", 8.67),
    ("Avalanche", "bwt_gem", -11.00),
    ("Avalanche", "forgetting_diagonal", 11.00),
    ("Avalanche", "fwt_gem", 8.67),
    ("Continuum", "bwt_diaz_rodriguez", -8.83),
    ("Continuum", "forgetting_max_since_learned", 12.67),
    ("Continuum", "fwt_without_initial", 10.67),
    ("LibContinual", "bwt_libcontinual", -8.00),
    ("LibContinual", "forgetting_libcontinual", 9.33),
    ("PyCIL, PILOT", "forgetting_max_all", 13.33),
]


@pytest.mark.parametrize(("library", "key", "percent"), LIBRARIES)
def test_each_librarys_number_has_a_named_convention(library: str, key: str, percent: float) -> None:
    value = summarise(reference())[key]
    assert value is not None and round(100 * value, 2) == percent, library


@pytest.mark.parametrize(
    ("key", "percent"),
    [
        ("last_accuracy_macro", 78.00),
        ("last_accuracy_pooled", 72.27),
        ("average_incremental_accuracy_macro", 83.04),
        ("average_incremental_accuracy_pooled", 81.82),
        ("accuracy_diaz_rodriguez", 80.70),
        ("mean_fine_tune_accuracy", 86.25),
        ("bwt_over_t", -8.25),
        ("transfer_zscl", 8.17),  # (10 + (5 + 12) / 2 + (2 + 6 + 10) / 3) / 3
        ("average_zscl", 53.25),
    ],
)
def test_accuracies_of_the_same_matrix(key: str, percent: float) -> None:
    value = summarise(reference())[key]
    assert value is not None and round(100 * value, 2) == percent


def test_accuracy_per_stage() -> None:
    assert accuracy_macro(reference()) == pytest.approx([0.9, 0.875, 0.76667, 0.78], abs=1e-5)
    assert accuracy_pooled(reference()) == pytest.approx([0.9, 0.9, 0.75, 0.72273], abs=1e-5)


def test_maximum_since_learned_ignores_what_came_before() -> None:
    # A zero-shot backbone that was better on stage 2 before learning it than ever after.
    matrix = AccuracyMatrix.from_rows([[0.9, 0.8, 0.1], [0.9, 0.6, 0.1], [0.9, 0.5, 0.7]], [1, 1, 1])
    summary = summarise(matrix)
    assert summary["forgetting_max_prev"] == pytest.approx(0.15)
    assert summary["forgetting_max_since_learned"] == pytest.approx(0.05)


def test_without_evaluation_ahead_only_forward_transfer_is_undefined() -> None:
    lower = AccuracyMatrix.from_rows([row[: i + 1] for i, row in enumerate(R)], ITEMS, [0.02] * 4)
    ours, full = summarise(lower), summarise(reference())
    ahead = {"fwt_gem", "fwt_without_initial", "transfer_zscl", "average_zscl"}
    assert {key for key, value in ours.items() if value is None} == ahead
    assert {key: value for key, value in ours.items() if key not in ahead} == {
        key: value for key, value in full.items() if key not in ahead
    }


def test_forward_transfer_needs_the_initial_model() -> None:
    summary = summarise(AccuracyMatrix.from_rows(R, ITEMS))
    assert summary["fwt_gem"] is None and summary["fwt_without_initial"] is not None


def test_one_stage_can_neither_forget_nor_transfer() -> None:
    summary = summarise(AccuracyMatrix.from_rows([[0.7]], [10], [0.1]))
    accuracies = {"average_zscl", "mean_fine_tune_accuracy", *(key for key in METRICS if "accuracy" in key)}
    assert {key for key, value in summary.items() if value is not None} == accuracies
    assert all(summary[key] == 0.7 for key in accuracies)


def test_two_stages() -> None:
    summary = summarise(AccuracyMatrix.from_rows([[0.9, 0.2], [0.5, 0.8]], [30, 10], [0.1, 0.1]))
    assert summary["forgetting_max_prev"] == summary["forgetting_diagonal"] == pytest.approx(0.4)
    assert summary["bwt_gem"] == summary["bwt_diaz_rodriguez"] == pytest.approx(-0.4)
    assert summary["bwt_over_t"] == pytest.approx(-0.2)
    assert summary["fwt_gem"] == pytest.approx(0.1)
    assert summary["last_accuracy_pooled"] == pytest.approx(0.575)
    # LibContinual leaves stage T-1 out, so with two stages no term is left.
    assert summary["forgetting_libcontinual"] is None and summary["bwt_libcontinual"] is None


def test_nothing_is_rounded_before_averaging() -> None:
    third = AccuracyMatrix.from_rows([[1 / 3], [1 / 3, 1 / 3]], [3, 3])
    assert summarise(third)["average_incremental_accuracy_pooled"] == 1 / 3


def test_inputs_are_copied_and_the_matrix_is_read_only() -> None:
    rows, items = np.array(R), np.array(ITEMS)
    matrix = AccuracyMatrix(rows, items)
    before = summarise(matrix)
    rows[0, 0] = 0.0
    assert summarise(matrix) == before
    with pytest.raises(ValueError, match="read-only"):
        matrix.accuracy[0, 0] = 0.0


def test_json_round_trip() -> None:
    matrix = AccuracyMatrix.from_rows([[0.7], [0.1 + 0.2, 0.9]], [3, 4], [0.0, 0.5])
    text = json.dumps(matrix.to_json(), allow_nan=False)
    back = AccuracyMatrix.from_json(json.loads(text))
    assert json.loads(text)["accuracy"][0] == [0.7, None]
    assert np.array_equal(back.accuracy, matrix.accuracy, equal_nan=True)
    assert summarise(back) == summarise(matrix)


@pytest.mark.parametrize(
    ("rows", "items", "message"),
    [
        ([], [], "T >= 1"),
        ([[0.5]], [1, 2], "T x T"),
        ([[0.5], [0.5]], [1, 1], "every stage must be evaluated"),
        ([[0.5, 0.5]], [1], "row 1 has 2 values"),
        ([[50.0]], [1], "fractions, not percent"),
        ([[0.5]], [0], "at least 1"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(rows: list[list[float]], items: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AccuracyMatrix.from_rows(rows, items)

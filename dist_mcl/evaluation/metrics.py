"""The accuracy matrix R and every number that the field derives from it.

R[i, j] is the accuracy on the classes of stage j after finishing stage i, n[j] the number of test items of stage j,
b[j] the accuracy on them of the initial model; T stages. Libraries report up to four different "forgetting" values for
the same R, so each metric here carries its convention in its name. Values are fractions, never rounded; a metric that
is not defined (forgetting after one stage; forward transfer without evaluation ahead) is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AccuracyMatrix:
    """The raw result of a run of T finished stages.

    Attributes:
        accuracy: (T, T) float64 in 0..1, row = after which stage, column = classes of which stage. The diagonal and
            what is left of it must be given; right of it (classes not met yet) NaN stands for "not evaluated".
        items: (T,) int64, number of test items of each stage, at least 1.
        initial: (T,) accuracy of the initial model on each stage, None where it was not measured.

    The arrays are copies and read-only.

    Raises:
        ValueError: shapes disagree, an accuracy lies outside 0..1, a required one is missing, a stage has no items.
    """

    accuracy: Floats
    items: NDArray[np.int64]
    initial: Floats | None = None

    def __post_init__(self) -> None:
        _freeze(self, "accuracy", np.float64)
        _freeze(self, "items", np.int64)
        if self.initial is not None:
            _freeze(self, "initial", np.float64)
        self._check()

    def _check(self) -> None:
        stages = len(self.items)
        if stages == 0 or self.items.ndim != 1 or self.accuracy.shape != (stages, stages):
            raise ValueError(f"accuracy {self.accuracy.shape} must be T x T with T = {stages} as items, T >= 1")
        if self.initial is not None and self.initial.shape != (stages,):
            raise ValueError(f"initial {self.initial.shape} must hold one value for each of {stages} stages")
        if self.items.min() < 1:
            raise ValueError(f"items must be at least 1 in each stage, got {self.items.tolist()}")
        given = self.accuracy if self.initial is None else np.vstack([self.accuracy, self.initial])
        if np.any((given < 0) | (given > 1)):
            raise ValueError("an accuracy lies outside 0..1; give fractions, not percent")
        if np.isnan(np.tril(self.accuracy)).any():
            raise ValueError("every stage must be evaluated on its own classes and on those of every earlier stage")

    @classmethod
    def from_rows(
        cls, rows: Sequence[Sequence[float | None]], items: Sequence[int], initial: Sequence[float] | None = None
    ) -> AccuracyMatrix:
        """Build it from one row per finished stage; what a row leaves out at its end was not evaluated.

        Raises:
            ValueError: as the class; also a row longer than the number of stages.
        """
        accuracy = np.full((len(rows), len(rows)), np.nan)
        for stage, row in enumerate(rows):
            if len(row) > len(rows):
                raise ValueError(f"row {stage + 1} has {len(row)} values for {len(rows)} stages")
            accuracy[stage, : len(row)] = [np.nan if value is None else value for value in row]
        return cls(accuracy, np.array(items), None if initial is None else np.array(initial))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`: keys `accuracy` (null where not evaluated), `items`, `initial`."""
        rows = [[None if np.isnan(value) else value for value in row] for row in self.accuracy.tolist()]
        initial = None if self.initial is None else self.initial.tolist()
        return {"accuracy": rows, "items": self.items.tolist(), "initial": initial}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AccuracyMatrix:
        """The inverse of `to_json`."""
        return cls.from_rows(data["accuracy"], data["items"], data["initial"])

    @property
    def stages(self) -> int:
        """Number of finished stages T."""
        return len(self.items)


def _freeze(matrix: AccuracyMatrix, name: str, dtype: type[np.generic]) -> None:
    array = np.array(getattr(matrix, name), dtype)
    array.setflags(write=False)
    object.__setattr__(matrix, name, array)


@dataclass(frozen=True)
class Metric:
    """One number derived from the matrix, with its convention in one line."""

    explanation: str
    compute: Callable[[AccuracyMatrix], float | None]


METRICS: dict[str, Metric] = {}
"""Every metric by its key, in the order of a report."""


def summarise(matrix: AccuracyMatrix) -> dict[str, float | None]:
    """All of `METRICS`, as unrounded fractions; None where a metric is not defined for this matrix."""
    return {key: metric.compute(matrix) for key, metric in METRICS.items()}


def accuracy_pooled(matrix: AccuracyMatrix) -> Floats:
    """(T,) A_t over all test items of the classes seen after stage t: every item counts the same (micro)."""
    return np.tril(matrix.accuracy) @ matrix.items / np.cumsum(matrix.items)


def accuracy_macro(matrix: AccuracyMatrix) -> Floats:
    """(T,) A_t as the mean over the stages seen after stage t: every stage counts the same."""
    return np.tril(matrix.accuracy).sum(axis=1) / np.arange(1, matrix.stages + 1)


def _metric(explanation: str) -> Callable[[Callable[[AccuracyMatrix], float | None]], Callable[..., float | None]]:
    def register(compute: Callable[[AccuracyMatrix], float | None]) -> Callable[..., float | None]:
        compute.__doc__ = explanation
        METRICS[compute.__name__] = Metric(explanation, compute)
        return compute

    return register


def _over(terms: Floats, denominator: float) -> float | None:
    """Sum of the terms over the denominator; None if there is no term or one of them was not evaluated."""
    return None if terms.size == 0 or np.isnan(terms).any() else float(terms.sum() / denominator)


def _since_learned(matrix: AccuracyMatrix) -> Floats:
    """(T, T) change of each stage's accuracy since it was learned, R[i, j] - R[j, j]."""
    return matrix.accuracy - np.diag(matrix.accuracy)


@_metric("mean over the stages of A_t pooled over all test items seen so far (iCaRL; Avalanche, PyCIL, PILOT)")
def average_incremental_accuracy_pooled(matrix: AccuracyMatrix) -> float | None:
    return float(accuracy_pooled(matrix).mean())


@_metric("mean over the stages of A_t as the mean of the stages seen so far (Mammoth)")
def average_incremental_accuracy_macro(matrix: AccuracyMatrix) -> float | None:
    return float(accuracy_macro(matrix).mean())


@_metric("A_T after the last stage, pooled over all test items")
def last_accuracy_pooled(matrix: AccuracyMatrix) -> float | None:
    return float(accuracy_pooled(matrix)[-1])


@_metric("A_T after the last stage, mean over the stages (FAA, MFN)")
def last_accuracy_macro(matrix: AccuracyMatrix) -> float | None:
    return float(accuracy_macro(matrix)[-1])


@_metric("mean of the matrix's lower triangle with the diagonal (Diaz-Rodriguez 2018)")
def accuracy_diaz_rodriguez(matrix: AccuracyMatrix) -> float | None:
    lower = matrix.accuracy[np.tril_indices(matrix.stages)]
    return _over(lower, lower.size)


@_metric("mean accuracy on each stage's classes right after learning them (MFT)")
def mean_fine_tune_accuracy(matrix: AccuracyMatrix) -> float | None:
    return float(np.diag(matrix.accuracy).mean())


@_metric("mean over stages 1..T-1 of the best accuracy in any earlier row, less the last (Chaudhry 2018; Renate)")
def forgetting_max_prev(matrix: AccuracyMatrix) -> float | None:
    if matrix.stages == 1:
        return None
    best = np.nanmax(matrix.accuracy[:-1, :-1], axis=0)
    return _over(best - matrix.accuracy[-1, :-1], matrix.stages - 1)


@_metric("as forgetting_max_prev, the best taken only since the stage was learned (Continuum); for zero-shot backbones")
def forgetting_max_since_learned(matrix: AccuracyMatrix) -> float | None:
    if matrix.stages == 1:
        return None
    best = np.tril(matrix.accuracy)[:-1, :-1].max(axis=0)
    return _over(best - matrix.accuracy[-1, :-1], matrix.stages - 1)


@_metric("as forgetting_max_prev, the best taken over the last row too, so never negative (Mammoth, PyCIL, PILOT)")
def forgetting_max_all(matrix: AccuracyMatrix) -> float | None:
    best = np.nanmax(matrix.accuracy[:, :-1], axis=0)
    return _over(best - matrix.accuracy[-1, :-1], matrix.stages - 1)


@_metric("mean over stages 1..T-1 of the accuracy when learned, less the last (FFM; Avalanche); equals -bwt_gem")
def forgetting_diagonal(matrix: AccuracyMatrix) -> float | None:
    return _over(-_since_learned(matrix)[-1, :-1], matrix.stages - 1)


@_metric("as forgetting_diagonal, without stage T-1 but still divided by T-1 (LibContinual)")
def forgetting_libcontinual(matrix: AccuracyMatrix) -> float | None:
    return _over(-_since_learned(matrix)[-1, :-2], matrix.stages - 1)


@_metric("backward transfer: mean over stages 1..T-1 of the last accuracy, less that when learned (GEM 2017)")
def bwt_gem(matrix: AccuracyMatrix) -> float | None:
    return _over(_since_learned(matrix)[-1, :-1], matrix.stages - 1)


@_metric("as bwt_gem, divided by T instead of T-1 (many papers on multimodal models; equals MFN - MFT)")
def bwt_over_t(matrix: AccuracyMatrix) -> float | None:
    return _over(_since_learned(matrix)[-1, :-1], matrix.stages)


@_metric("mean change since learned over all rows below the diagonal, not just the last (Diaz-Rodriguez; Continuum)")
def bwt_diaz_rodriguez(matrix: AccuracyMatrix) -> float | None:
    below = _since_learned(matrix)[np.tril_indices(matrix.stages, -1)]
    return _over(below, below.size)


@_metric("as bwt_diaz_rodriguez, without the row right after each stage but with the same denominator (LibContinual)")
def bwt_libcontinual(matrix: AccuracyMatrix) -> float | None:
    below = _since_learned(matrix)[np.tril_indices(matrix.stages, -2)]
    return _over(below, matrix.stages * (matrix.stages - 1) / 2)


@_metric("forward transfer: mean accuracy on each stage right before learning it, less the initial model's (GEM 2017)")
def fwt_gem(matrix: AccuracyMatrix) -> float | None:
    if matrix.initial is None:
        return None
    return _over(np.diag(matrix.accuracy, 1) - matrix.initial[1:], matrix.stages - 1)


@_metric("as fwt_gem, without taking off the initial model's accuracy (Continuum)")
def fwt_without_initial(matrix: AccuracyMatrix) -> float | None:
    return _over(np.diag(matrix.accuracy, 1), matrix.stages - 1)


@_metric("mean over stages 2..T of the mean accuracy on a stage before learning it (ZSCL)")
def transfer_zscl(matrix: AccuracyMatrix) -> float | None:
    before = np.array([matrix.accuracy[:stage, stage].mean() for stage in range(1, matrix.stages)])
    return _over(before, matrix.stages - 1)


@_metric("mean of the whole matrix, stages not met yet included (ZSCL)")
def average_zscl(matrix: AccuracyMatrix) -> float | None:
    return _over(matrix.accuracy, matrix.accuracy.size)

"""From predictions to one row of the accuracy matrix, by counts that add up over ranks and batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_counts(targets: ArrayLike, predictions: ArrayLike, classes: int) -> NDArray[np.int64]:
    """How often each class was taken for each other.

    Counts of disjoint shards of the test set add up to the counts of the whole, so ranks merge theirs by a sum.

    Args:
        targets: (N,) integer class ids in 0..classes-1; N may be 0, as on a rank that got no test item.
        predictions: (N,) integer class ids in 0..classes-1.
        classes: number of classes C.

    Returns:
        (C, C) int64: row = true class, column = predicted class.

    Raises:
        ValueError: the lengths differ, or an id lies outside 0..classes-1.
    """
    true, predicted = np.asarray(targets, np.int64), np.asarray(predictions, np.int64)
    if true.shape != predicted.shape or true.ndim != 1:
        raise ValueError(f"targets {true.shape} and predictions {predicted.shape} must be 1-d and of one length")
    for name, ids in (("targets", true), ("predictions", predicted)):
        if ids.size and (ids.min() < 0 or ids.max() >= classes):
            raise ValueError(f"{name} must lie in 0..{classes - 1}, got {ids.min()}..{ids.max()}")
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def matrix_row(
    confusion: NDArray[np.int64], stage_classes: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Accuracy on the classes of each stage: one row of the accuracy matrix.

    Args:
        confusion: (C, C) counts of the whole test set, row = true class.
        stage_classes: class ids of stage 1, 2, ..., t.

    Returns:
        accuracy (t,) in 0..1 and the number of test items (t,) int64.

    Raises:
        ValueError: a stage has no test item, so its accuracy is not defined.
    """
    items = np.array([confusion[list(classes)].sum() for classes in stage_classes], np.int64)
    if not items.all():
        raise ValueError(f"stage {int(np.argmin(items)) + 1} has no test item, so it has no accuracy")
    correct = np.array([confusion[list(classes), list(classes)].sum() for classes in stage_classes], np.int64)
    return correct / items, items


def per_class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """(C,) share of each class's test items that were predicted right; NaN for a class without test items."""
    items = confusion.sum(axis=1)
    return np.divide(np.diag(confusion), items, out=np.full(len(items), np.nan), where=items > 0)

"""Class-incremental learning: which classes arrive in which stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError


@dataclass(frozen=True)
class Stage:
    """What one stage brings.

    Attributes:
        number: from 1.
        classes: class ids that are new in this stage, in order of arrival.
        train: int64, ascending indices into the training set: all its samples of these classes.
        test: int64, ascending indices into the test set: all its samples of these classes.
    """

    number: int
    classes: tuple[int, ...]
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def class_incremental(class_ids: Sequence[int], num_stages: int, seed: int) -> list[tuple[int, ...]]:
    """Deal classes to stages in a seeded random order.

    Stages are as even as possible; the first ones take the remainder. The result depends on the set of class ids and
    the seed alone.

    Returns:
        One tuple of class ids per stage, in order of arrival.

    Raises:
        UserError: fewer than one stage, or more stages than classes.
    """
    ordered = sorted(set(class_ids))
    if not 1 <= num_stages <= len(ordered):
        raise UserError(
            f"scenario.stages: {num_stages} stages cannot share {len(ordered)} classes; "
            f"choose a number from 1 to {len(ordered)}"
        )
    shuffled = np.random.default_rng(seed).permutation(ordered)
    return [tuple(part.tolist()) for part in np.array_split(shuffled, num_stages)]


def stages(
    groups: Sequence[Sequence[int]],
    train_labels: NDArray[np.int64],
    test_labels: NDArray[np.int64],
    max_per_class: int | None = None,
) -> list[Stage]:
    """Find the samples of each stage's classes by the labels (n,) of the training and the test set.

    Args:
        max_per_class: take only so many samples of a class from each set, the ones with the lowest indices.
    """
    return [
        Stage(
            number=number,
            classes=tuple(classes),
            train=_indices(train_labels, classes, max_per_class),
            test=_indices(test_labels, classes, max_per_class),
        )
        for number, classes in enumerate(groups, start=1)
    ]


def _indices(labels: NDArray[np.int64], classes: Sequence[int], most: int | None) -> NDArray[np.int64]:
    return np.sort(np.concatenate([np.flatnonzero(labels == class_id)[:most] for class_id in classes]))

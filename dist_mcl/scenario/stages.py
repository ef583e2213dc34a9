"""Class-incremental learning: which classes arrive in which stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dist_mcl.data_config import Scenario
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


def class_incremental(class_ids: Iterable[int], scenario: Scenario, seed: int) -> list[tuple[int, ...]]:
    """Deal classes to stages in a seeded random order.

    Equal stages are as even as possible, and the first ones take the remainder. With a base and increments the last
    stage takes what is left, as in PILOT. The result depends on the set of class ids, the scenario and the seed alone.

    Args:
        seed: of the order, where the scenario has no `class_seed`.

    Returns:
        One tuple of class ids per stage, in order of arrival.

    Raises:
        UserError: more stages, or a larger base, than there are classes.
    """
    order = _order(sorted(set(class_ids)), scenario, seed)
    if scenario.increment is None:
        return [tuple(part.tolist()) for part in np.array_split(order, _checked_stages(scenario, len(order)))]
    first = scenario.base or scenario.increment
    if first > len(order):
        raise UserError(f"scenario.base: {first} classes in the first stage are more than the {len(order)} there are")
    borders = range(first, len(order), scenario.increment)
    return [tuple(part.tolist()) for part in np.split(order, borders)]


def _order(ordered: Sequence[int], scenario: Scenario, seed: int) -> NDArray[np.int64]:
    if scenario.class_seed is None:
        return np.random.default_rng(seed).permutation(ordered)
    # Published class orders were drawn with numpy's legacy generator, and only it gives them again.
    return np.asarray(ordered)[np.random.RandomState(scenario.class_seed).permutation(len(ordered))]


def _checked_stages(scenario: Scenario, classes: int) -> int:
    if scenario.stages is None or scenario.stages > classes:
        raise UserError(
            f"scenario.stages: {scenario.stages} stages cannot share {classes} classes; "
            f"choose a number from 1 to {classes}"
        )
    return scenario.stages


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

"""From single runs to what is said about them: means, spreads, differences, and bytes for an equal accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from studies.exemplar_masking.grid import SEEDS, Cell
from studies.spread import Spread

Results = Mapping[Cell, dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """The runs of one method on one data set with one budget, over seeds."""

    data: str
    phases: int
    method: str
    budget: int
    results: tuple[dict[str, Any], ...]

    def of(self, key: str) -> Spread | None:
        """A quantity of theirs, None where one of them has none."""
        values = [result.get(key) for result in self.results]
        return None if any(value is None for value in values) else Spread(tuple(map(float, values)))  # type: ignore[arg-type]

    def percent(self, key: str) -> Spread | None:
        found = self.of(key)
        return None if found is None else Spread(tuple(100 * value for value in found.values))

    @property
    def average(self) -> Spread:
        """Average accuracy over the stages, in percent."""
        found = self.percent("average")
        assert found is not None
        return found


def groups(results: Results) -> list[Group]:
    """The results by method, ascending by seed; of methods alone that have all of `SEEDS`, and perhaps more."""
    found: dict[tuple[str, int, str, int], dict[int, dict[str, Any]]] = {}
    for cell, result in results.items():
        found.setdefault((cell.data, cell.phases, cell.method, cell.budget), {})[cell.seed] = result
    return [
        Group(*key, tuple(by_seed[seed] for seed in sorted(by_seed)))
        for key, by_seed in found.items()
        if by_seed.keys() >= set(SEEDS)
    ]


def better_jpeg(these: Sequence[Group]) -> Group | None:
    """Of whole pictures the quality that does better."""
    whole = [group for group in these if group.method.startswith("jpeg")]
    return max(whole, key=lambda group: group.average.mean, default=None)


def saving(ours: Sequence[Group], whole: Sequence[Group]) -> tuple[int, float, bool] | None:
    """How many times the bytes whole pictures need for the accuracy that ours have.

    Of each budget of whole pictures, the bytes at which ours reach the same average accuracy are read off ours' curve,
    linear in the logarithm of the bytes.

    Args:
        ours, whole: the two methods at several budgets, ascending.

    Returns:
        the budget of whole pictures (KiB) at which most is saved, the factor, and whether the factor is a lower bound:
        ours are better at their smallest budget already. None where ours reach none of them.
    """
    reached = np.maximum.accumulate([group.average.mean for group in ours])
    found = []
    for group in whole:
        enough = np.flatnonzero(reached >= group.average.mean)
        if not len(enough):
            continue
        first = int(enough[0])
        needed = float(ours[first].budget)
        if first:
            share = (group.average.mean - reached[first - 1]) / (reached[first] - reached[first - 1])
            needed = ours[first - 1].budget * (needed / ours[first - 1].budget) ** float(share)
        found.append((group.budget, group.budget / needed, first == 0))
    return max(found, key=lambda one: one[1], default=None)

"""Two methods on all test questions of the data sets: how sure their difference is, with these questions.

Seeds say how much training varies; all of them are asked the same questions, so they say nothing of how much the
difference would be another one with other models and recordings to be asked about. Both are on the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from studies.spread import Spread

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Gain:
    """A difference of two methods' mean scores, in hundredths.

    Attributes:
        by_seed: of all test questions.
        of_questions: standard error of its mean over seeds, over what was asked about.
    """

    by_seed: Spread
    of_questions: float

    @property
    def error(self) -> float:
        """Standard error over seeds and over what was asked about; NaN of a single seed."""
        return math.hypot(self.of_questions, self.by_seed.deviation / math.sqrt(len(self.by_seed.values)))

    @property
    def is_sure(self) -> bool:
        """Whether it is more than twice its standard error."""
        return abs(self.by_seed.mean) > 2 * self.error


def scores(results: Sequence[Result], modalities: Sequence[str]) -> Spread:
    """Mean score over modalities, by seed, in hundredths."""
    return Spread(tuple(100 * fmean(_share(result, modality) for modality in modalities) for result in results))


def gain(ours: Sequence[Result], theirs: Sequence[Result], modalities: Sequence[str]) -> Gain:
    """What `ours` score above `theirs`.

    What was asked about is taken for drawn at random, with all of its questions in all modalities: so views of one
    model are no independent questions. The error is that of a mean of ratios, linearised, as of clustered samples.

    Args:
        ours, theirs: results of the same seeds, in the same order.
    """
    by_seed = scores(ours, modalities).minus(scores(theirs, modalities))
    influence: dict[str, float] = {}
    for modality in modalities:
        ahead, asked = _ahead(ours, theirs, modality), _asked(ours[0], modality)
        questions = sum(asked.values())
        mean = sum(ahead.values()) / questions
        for thing, count in asked.items():
            part = (ahead[thing] - count * mean) / questions / len(modalities)
            influence[thing] = influence.get(thing, 0.0) + part
    things = len(influence)
    variance = things / (things - 1) * sum(part**2 for part in influence.values())
    return Gain(by_seed, 100 * math.sqrt(variance))


def questions(result: Result) -> int:
    """How many were asked."""
    return sum(sum(_asked(result, modality).values()) for modality in result["on_all_tests"])


def _share(result: Result, modality: str) -> float:
    tallies = result["on_all_tests"][modality].values()
    return sum(right for right, _ in tallies) / sum(asked for _, asked in tallies)


def _asked(result: Result, modality: str) -> dict[str, int]:
    return {thing: asked for thing, (_, asked) in result["on_all_tests"][modality].items()}


def _ahead(ours: Sequence[Result], theirs: Sequence[Result], modality: str) -> dict[str, float]:
    """By what was asked about: right answers more than theirs, the mean over seeds."""
    found: dict[str, float] = {}
    for our, their in zip(ours, theirs, strict=True):
        right = their["on_all_tests"][modality]
        for thing, (count, _) in our["on_all_tests"][modality].items():
            found[thing] = found.get(thing, 0.0) + (count - right[thing][0]) / len(ours)
    return found

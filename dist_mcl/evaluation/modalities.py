"""What a run over modalities learned and forgot: the scores S[a][b][d], and transfer and forgetting from them.

S[a][b][d] is the score on data set d of modality b of the model after stage a; stage a brings modality a. PathWeave
(arXiv 2410.20178) reports for each new modality m

    T_m = mean over d of S[m][m][d]                                           its own score
    F_m = mean over the modalities i before m, of the mean over d of S[i][i][d] - S[m][i][d]    what was lost

Its printed formulas are not at hand; these follow its captions. F may be negative, lower is better.

Accuracies (0 to 1) and CIDEr (0 to 10) are of two scales. There is a T and an F of either: means are over the data sets
of that scale alone, and over the modalities that have one.

Where all modalities were learned at once, the one model stands after every stage: T_m is its score on m, usually meant
as an upper bound and not guaranteed to be one, and there is no F.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ACCURACY = "accuracy"
"""The scale of exact match and VQA accuracy; others go by the names of their scores."""

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class ModalityScores:
    """The whole result of a run; higher scores are better.

    Attributes:
        order: modalities as they arrived.
        scores: S, by stage's modality, modality and data set. Each stage is scored on its own and all earlier ones'.
        is_joint: whether all were learned at once.
        scale_of: by modality and data set, the scale of its scores; accuracy where nothing is said.

    Raises:
        ValueError: a score is missing, or a stage was scored on other data sets than its modality has.
    """

    order: tuple[str, ...]
    scores: Scores
    is_joint: bool = False
    scale_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.order):
            for modality in self.order[: number + 1]:
                here, first = (self.scores.get(of, {}).get(modality, {}) for of in (stage, modality))
                if not here or set(here) != set(first):
                    raise ValueError(f"after {stage}, {modality} has scores on {sorted(here)} and not {sorted(first)}")

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales of all data sets, accuracy first."""
        found = {self._scale(name, dataset) for name in self.order for dataset in self.scores[name][name]}
        return tuple(sorted(found, key=lambda scale: (scale != ACCURACY, scale)))

    def transfer(self, modality: str, scale: str = ACCURACY) -> float:
        """T of a modality; NaN where it has no data set of the scale."""
        return self.mean(modality, modality, scale)

    def forgetting(self, modality: str, scale: str = ACCURACY) -> float | None:
        """F of a modality; None where none with that scale was learned before it, so that nothing can be forgotten."""
        earlier = () if self.is_joint else self.order[: self.order.index(modality)]
        lost = [self.transfer(old, scale) - self.mean(modality, old, scale) for old in earlier if self._has(old, scale)]
        return sum(lost) / len(lost) if lost else None

    def mean(self, stage: str, modality: str, scale: str = ACCURACY) -> float:
        """Mean over the data sets of a modality that are of a scale, after a stage; NaN where there is none."""
        scores = self.scores[stage][modality]
        values = [value for dataset, value in scores.items() if self._scale(modality, dataset) == scale]
        return sum(values) / len(values) if values else math.nan

    def summary(self, scale: str = ACCURACY) -> dict[str, Any]:
        """T and F by modality, their means, and the mean score after the last stage, all of one scale.

        Means are None where there is nothing of the scale; `transfer` and `last_mean` are of the modalities that have
        it.
        """
        having = [name for name in self.order if self._has(name, scale)]
        transfer = {name: self.transfer(name, scale) for name in having}
        forgotten = {name: self.forgetting(name, scale) for name in self.order}
        return {
            "transfer": transfer,
            "forgetting": forgotten,
            "mean_transfer": _mean(list(transfer.values())),
            "mean_forgetting": _mean([value for value in forgotten.values() if value is not None]),
            "last_mean": _mean([self.mean(self.order[-1], name, scale) for name in having]),
        }

    def _scale(self, modality: str, dataset: str) -> str:
        return self.scale_of.get(modality, {}).get(dataset, ACCURACY)

    def _has(self, modality: str, scale: str) -> bool:
        return any(self._scale(modality, dataset) == scale for dataset in self.scores[modality][modality])

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`."""
        return {
            "order": list(self.order),
            "scores": self.scores,
            "joint": self.is_joint,
            "scale_of": self.scale_of,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModalityScores:
        """The inverse of `to_json`; what was written before there were scales is of accuracies alone."""
        return cls(tuple(data["order"]), data["scores"], data.get("joint", False), data.get("scale_of", {}))

    @classmethod
    def from_rows(
        cls,
        order: Sequence[str],
        rows: Sequence[Mapping[str, Mapping[str, float]]],
        scale_of: Mapping[str, Mapping[str, str]] | None = None,
    ) -> ModalityScores:
        """Build it from what each finished stage was scored, modality by modality."""
        return cls(tuple(order), dict(zip(order, rows, strict=True)), scale_of=scale_of or {})

    @classmethod
    def of_joint(
        cls,
        order: Sequence[str],
        row: Mapping[str, Mapping[str, float]],
        scale_of: Mapping[str, Mapping[str, str]] | None = None,
    ) -> ModalityScores:
        """Build it from what the model that learned all at once was scored, modality by modality."""
        until = {name: order[:number] for number, name in enumerate(order, start=1)}
        scores = {name: {one: row[one] for one in seen} for name, seen in until.items()}
        return cls(tuple(order), scores, is_joint=True, scale_of=scale_of or {})


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None

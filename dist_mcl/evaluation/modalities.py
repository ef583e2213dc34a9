"""What a run over modalities learned and forgot: the scores S[a][b][d], and transfer and forgetting from them.

S[a][b][d] is the score on data set d of modality b of the model after stage a; stage a brings modality a. PathWeave
(arXiv 2410.20178) reports for each new modality m

    T_m = mean over d of S[m][m][d]                                           its own score
    F_m = mean over the modalities i before m, of the mean over d of S[i][i][d] - S[m][i][d]    what was lost

Its printed formulas are not at hand; these follow its captions. F may be negative, lower is better.

Where all modalities were learned at once, the one model stands after every stage: T_m is its score on m, an upper
bound, and there is no F.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class ModalityScores:
    """The whole result of a run; higher scores are better, and all data sets of one run are of one scale.

    Attributes:
        order: modalities as they arrived.
        scores: S, by stage's modality, modality and data set. Each stage is scored on its own and all earlier ones'.
        is_joint: whether all were learned at once.

    Raises:
        ValueError: a score is missing, or a stage was scored on other data sets than its modality has.
    """

    order: tuple[str, ...]
    scores: Scores
    is_joint: bool = False

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.order):
            for modality in self.order[: number + 1]:
                here, first = (self.scores.get(of, {}).get(modality, {}) for of in (stage, modality))
                if not here or set(here) != set(first):
                    raise ValueError(f"after {stage}, {modality} has scores on {sorted(here)} and not {sorted(first)}")

    def transfer(self, modality: str) -> float:
        """T of a modality."""
        return self.mean(modality, modality)

    def forgetting(self, modality: str) -> float | None:
        """F of a modality; None where none was learned before it, so that there is nothing to forget."""
        earlier = () if self.is_joint else self.order[: self.order.index(modality)]
        lost = [self.transfer(old) - self.mean(modality, old) for old in earlier]
        return sum(lost) / len(lost) if lost else None

    def mean(self, stage: str, modality: str) -> float:
        """Mean over the data sets of a modality, after a stage."""
        values = self.scores[stage][modality].values()
        return sum(values) / len(values)

    def summary(self) -> dict[str, Any]:
        """T and F of every modality, their means, and the mean score over all modalities after the last stage."""
        forgotten = {name: self.forgetting(name) for name in self.order}
        known = [value for value in forgotten.values() if value is not None]
        last = self.order[-1]
        return {
            "transfer": {name: self.transfer(name) for name in self.order},
            "forgetting": forgotten,
            "mean_transfer": sum(map(self.transfer, self.order)) / len(self.order),
            "mean_forgetting": sum(known) / len(known) if known else None,
            "last_mean": sum(self.mean(last, name) for name in self.order) / len(self.order),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`."""
        return {"order": list(self.order), "scores": self.scores, "joint": self.is_joint}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModalityScores:
        """The inverse of `to_json`."""
        return cls(tuple(data["order"]), data["scores"], data.get("joint", False))

    @classmethod
    def from_rows(cls, order: Sequence[str], rows: Sequence[Mapping[str, Mapping[str, float]]]) -> ModalityScores:
        """Build it from what each finished stage was scored, modality by modality."""
        return cls(tuple(order), dict(zip(order, rows, strict=True)))

    @classmethod
    def of_joint(cls, order: Sequence[str], row: Mapping[str, Mapping[str, float]]) -> ModalityScores:
        """Build it from what the model that learned all at once was scored, modality by modality."""
        until = {name: order[:number] for number, name in enumerate(order, start=1)}
        return cls(tuple(order), {name: {one: row[one] for one in seen} for name, seen in until.items()}, is_joint=True)

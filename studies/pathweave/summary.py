"""From single runs to what is said about them: each method's scores, costs and forgetting over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dist_mcl.evaluation.modalities import ModalityScores
from studies.pathweave.all_tests import scores
from studies.pathweave.grid import Cell, Setting
from studies.spread import Spread

Result = dict[str, Any]
Results = Mapping[Cell, Result]
_GIB = 2**30


@dataclass(frozen=True)
class Group:
    """The runs of one method in one setting, over seeds. Scores are in hundredths."""

    method: str
    setting: Setting
    results: tuple[Result, ...]

    @property
    def is_joint(self) -> bool:
        return self._scores[0].is_joint

    @property
    def mean_score(self) -> Spread:
        """Over all modalities after the last stage."""
        return self._spread(lambda result: 100 * result["summary"]["last_mean"])

    @property
    def transfer(self) -> Spread:
        """T, the mean over modalities."""
        return self._spread(lambda result: 100 * result["summary"]["mean_transfer"])

    @property
    def forgetting(self) -> Spread | None:
        """F, the mean over stages; None where there is nothing to forget."""
        return None if self.is_joint else self._spread(lambda result: 100 * result["summary"]["mean_forgetting"])

    @property
    def order(self) -> tuple[str, ...]:
        """The modalities, as they were learned."""
        return tuple(self._scores[0].order)

    def score_of(self, modality: str) -> Spread:
        """After the last stage."""
        return self.mean_score_of([modality])

    def mean_score_of(self, modalities: Sequence[str]) -> Spread:
        """Over some modalities, after the last stage."""
        return Spread(
            tuple(100 * fmean(its.mean(its.order[-1], modality) for modality in modalities) for its in self._scores)
        )

    def over_stages(self) -> list[Spread]:
        """After each stage, the mean over all modalities seen so far."""
        return [
            Spread(tuple(100 * _mean_of_seen(its, number) for its in self._scores))
            for number in range(1, len(self._scores[0].order) + 1)
        ]

    @property
    def has_all_tests(self) -> bool:
        """Whether all test questions of the data sets were asked after the last stage."""
        return all("on_all_tests" in result for result in self.results)

    def on_all_tests(self, modalities: Sequence[str] = ()) -> Spread:
        """Mean score over some modalities, or over all, of all test questions; after the last stage."""
        return scores(self.results, modalities or self.order)

    @property
    def trained_share(self) -> Spread:
        """Of what full fine-tuning trains over all stages, in hundredths."""
        return self._spread(lambda result: 100 * sum(result["trained_parameters"]) / sum(result["full_parameters"]))

    @property
    def train_seconds(self) -> Spread:
        """Of one core, all stages together."""
        return self._spread(lambda result: sum(result["train_seconds"]))

    def stage_seconds(self, modality: str) -> Spread:
        """Of one core, the stage that brings a modality alone."""
        number = self.order.index(modality)
        return self._spread(lambda result: result["train_seconds"][number])

    @property
    def peak_gib(self) -> Spread:
        """Of the stage that took most."""
        return self._spread(lambda result: max(result["peak_bytes"]) / _GIB)

    @property
    def is_unchanged(self) -> bool | None:
        """Whether all earlier modalities' answers stayed as they were, bit for bit; None where none was earlier."""
        found = [same for result in self.results for same in result["unchanged"].values()]
        return all(found) if found else None

    def stored(self, key: str) -> Spread | None:
        """`exemplars` or `store_bytes`; None without a memory."""
        return self._spread(lambda result: result[key]) if key in self.results[0] else None

    def _spread(self, of: Callable[[Result], float]) -> Spread:
        return Spread(tuple(float(of(result)) for result in self.results))

    @property
    def _scores(self) -> list[ModalityScores]:
        return [ModalityScores.from_json(result["scores"]) for result in self.results]


def groups(results: Results) -> list[Group]:
    """The results by method and setting, those of complete sets of seeds alone, so that differences go seed by seed."""
    found: dict[tuple[str, Setting], dict[int, Result]] = {}
    for cell, result in results.items():
        found.setdefault((cell.method, cell.setting), {})[cell.seed] = result
    seeds = {cell.seed for cell in results}
    return [
        Group(*key, tuple(by_seed[seed] for seed in sorted(seeds)))
        for key, by_seed in found.items()
        if set(by_seed) == seeds
    ]


def by_method(found: list[Group], setting: Setting = "usual") -> dict[str, Group]:
    return {group.method: group for group in found if group.setting == setting}


def _mean_of_seen(scores: ModalityScores, stages: int) -> float:
    seen = scores.order[:stages]
    return sum(scores.mean(seen[-1], modality) for modality in seen) / stages

"""Finished runs side by side: in which settings they differ, and what each came to, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dist_mcl.config import Experiment, is_part_of_result
from dist_mcl.errors import UserError
from dist_mcl.evaluation import AccuracyMatrix, summarise
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.report.collect import Records, modality_scores
from dist_mcl.report.modalities import of_scale
from dist_mcl.run_folder import STEPS, RunFolder

# What a run came to, by the name of its column, and how it is called where it is computed.
CLASSES = {
    "average": "average_incremental_accuracy_pooled",
    "last": "last_accuracy_pooled",
    "forgetting": "forgetting_max_prev",
}
MODALITIES = {"T": "mean_transfer", "last score": "last_mean", "F": "mean_forgetting"}


@dataclass(frozen=True)
class Outcome:
    """What one finished run came to.

    Attributes:
        run: its folder, as the user wrote it.
        settings: value by dotted field of the experiment, e.g. `exemplars.budget`.
        seed: of the experiment.
        results: fractions by name, of classes `CLASSES`, of modalities `MODALITIES` of each scale that the run has;
            None where not defined.
        exemplars: number in the store at the end.
        store_bytes: all files of the store at the end.
        seconds: wall time of the stages' steps.
    """

    run: str
    settings: dict[str, Any]
    seed: int
    results: dict[str, float | None]
    exemplars: int
    store_bytes: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """Runs of one experiment under different seeds.

    Attributes:
        settings: the fields in which the rows of a comparison differ, with this row's values.
        outcomes: at least one, of distinct seeds.
    """

    settings: dict[str, Any]
    outcomes: list[Outcome]


def outcome(run: RunFolder) -> Outcome:
    """Read what a run came to.

    Raises:
        UserError: not all of its stages are finished.
    """
    records, planned = run.finished_records(), len(run.plan.stages)
    if len(records) < planned:
        raise UserError(f"{run.path}: {len(records)} of {planned} stages are finished; finish it with `mcl run` first")
    memory = records[-1]["memorise"]
    is_of_modalities = isinstance(run.experiment.scenario, ModalityIncremental)
    return Outcome(
        run=str(run.path),
        settings=_settings(run.experiment),
        seed=run.experiment.seed,
        results=_of_modalities(run, records) if is_of_modalities else _of_classes(records),
        exemplars=memory["exemplars"],
        store_bytes=memory["bytes"],
        seconds=sum(stage[step]["seconds"] for stage in records for step in STEPS),
    )


def _of_classes(records: Sequence[Records]) -> dict[str, float | None]:
    metrics = [stage["evaluate"] for stage in records]
    values = summarise(AccuracyMatrix.from_rows([row["accuracy"] for row in metrics], metrics[-1]["items"]))
    return {name: values[metric] for name, metric in CLASSES.items()}


def _of_modalities(run: RunFolder, records: Sequence[Records]) -> dict[str, float | None]:
    found = modality_scores(run, records)
    return {
        of_scale(name, scale): found.summary(scale)[metric]
        for scale in found.scales
        for name, metric in MODALITIES.items()
    }


def compare(outcomes: Sequence[Outcome]) -> list[Row]:
    """Runs of equal settings share a row; rows come in the order of their first runs.

    Raises:
        UserError: a row has the same seed twice, which would make its spread too small; or some runs are over classes
            and others over modalities.
    """
    if other := next((one for one in outcomes if _is_of_classes(one) != _is_of_classes(outcomes[0])), None):
        raise UserError(
            f"{outcomes[0].run} and {other.run}: one learns classes and the other modalities; compare runs of one kind"
        )
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault(repr(sorted(_experiment(one).items())), []).append(one)
    for group in groups.values():
        _check_seeds(group)
    experiments = [_experiment(group[0]) for group in groups.values()]
    fields = dict.fromkeys(name for experiment in experiments for name in experiment)
    differing = [name for name in fields if len({repr(experiment.get(name)) for experiment in experiments}) > 1]
    return [
        Row({name: experiment.get(name) for name in differing}, group)
        for experiment, group in zip(experiments, groups.values(), strict=True)
    ]


def _is_of_classes(one: Outcome) -> bool:
    return set(one.results) == set(CLASSES)


def _experiment(one: Outcome) -> dict[str, Any]:
    return {name: value for name, value in one.settings.items() if name != "seed" and is_part_of_result(name)}


def _check_seeds(group: Sequence[Outcome]) -> None:
    by_seed: dict[int, str] = {}
    for one in group:
        if one.seed in by_seed:
            raise UserError(f"{by_seed[one.seed]} and {one.run} are the same experiment with the same seed; name one")
        by_seed[one.seed] = one.run


def _settings(experiment: Experiment) -> dict[str, Any]:
    """Value by dotted field; of modalities each by its name, wherever it stands in the order, and the order beside."""
    values = experiment.model_dump(mode="json")
    if isinstance(experiment.scenario, ModalityIncremental):
        stages = {stage["modality"]: stage for stage in values["scenario"].pop("stages")}
        values["scenario"] |= {"order": ", ".join(stages), "stages": stages}
    return flat_fields(values)


def flat_fields(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Sections in lists are numbered from 0; a list of plain values is one value."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        has_sections = isinstance(value, list) and any(isinstance(entry, dict) for entry in value)
        inner = dict(enumerate(value)) if has_sections else value
        fields |= flat_fields(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {f"{prefix}{name}": value}
    return fields

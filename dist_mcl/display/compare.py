"""Finished runs side by side: in which settings they differ, and what each came to, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from rich import box
from rich.table import Table

from dist_mcl.config import is_part_of_result
from dist_mcl.errors import UserError
from dist_mcl.evaluation import AccuracyMatrix, summarise
from dist_mcl.run_folder import STEPS, RunFolder
from dist_mcl.units import UNDEFINED, duration, percent, points, size


@dataclass(frozen=True)
class Outcome:
    """What one finished run came to.

    Attributes:
        run: its folder, as the user wrote it.
        settings: value by dotted field of the experiment, e.g. `exemplars.budget`.
        seed: of the experiment.
        average_accuracy, last_accuracy: fractions, pooled over test items.
        forgetting: fraction, below each stage's best; None after one stage.
        exemplars: number in the store at the end.
        store_bytes: all files of the store at the end.
        seconds: wall time of the stages' steps.
    """

    run: str
    settings: dict[str, Any]
    seed: int
    average_accuracy: float
    last_accuracy: float
    forgetting: float | None
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
    metrics, memory = [stage["evaluate"] for stage in records], records[-1]["memorise"]
    values = summarise(AccuracyMatrix.from_rows([row["accuracy"] for row in metrics], metrics[-1]["items"]))
    average, last = values["average_incremental_accuracy_pooled"], values["last_accuracy_pooled"]
    assert average is not None and last is not None  # accuracies are always defined
    return Outcome(
        run=str(run.path),
        settings=_flat(run.experiment.model_dump(mode="json")),
        seed=run.experiment.seed,
        average_accuracy=average,
        last_accuracy=last,
        forgetting=values["forgetting_max_prev"],
        exemplars=memory["exemplars"],
        store_bytes=memory["bytes"],
        seconds=sum(stage[step]["seconds"] for stage in records for step in STEPS),
    )


def compare(outcomes: Sequence[Outcome]) -> list[Row]:
    """Runs of equal settings share a row; rows come in the order of their first runs.

    Raises:
        UserError: a row has the same seed twice, which would make its spread too small.
    """
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


def comparison_table(rows: Sequence[Row]) -> Table:
    """One line a row; several seeds are shown as mean ± standard deviation."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0].settings or ("run",):
        table.add_column(name, overflow="fold")
    for name in ("seeds", "average", "last", "forgetting", "exemplars", "bytes", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        runs = row.outcomes
        table.add_row(
            *(map(_value, row.settings.values()) if row.settings else [", ".join(one.run for one in runs)]),
            ", ".join(str(one.seed) for one in runs),
            _accuracy([one.average_accuracy for one in runs]),
            _accuracy([one.last_accuracy for one in runs]),
            _points([one.forgetting for one in runs]),
            f"{mean(one.exemplars for one in runs):,.0f}",
            size(round(mean(one.store_bytes for one in runs))),
            duration(mean(one.seconds for one in runs)),
        )
    return table


def _experiment(one: Outcome) -> dict[str, Any]:
    return {name: value for name, value in one.settings.items() if name != "seed" and is_part_of_result(name)}


def _check_seeds(group: Sequence[Outcome]) -> None:
    by_seed: dict[int, str] = {}
    for one in group:
        if one.seed in by_seed:
            raise UserError(f"{by_seed[one.seed]} and {one.run} are the same experiment with the same seed; name one")
        by_seed[one.seed] = one.run


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _value(value: Any) -> str:
    return UNDEFINED if value is None else str(value)


def _accuracy(fractions: Sequence[float]) -> str:
    return percent(fractions[0]) if len(fractions) == 1 else f"{points(mean(fractions))} ± {percent(stdev(fractions))}"


def _points(fractions: Sequence[float | None]) -> str:
    known = [value for value in fractions if value is not None]
    if len(known) < 2 or len(known) < len(fractions):
        return points(fractions[0])
    return f"{points(mean(known))} ± {points(stdev(known))}"

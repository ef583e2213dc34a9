"""What a run over modalities came to: S[a][b][d] stage by stage, transfer and forgetting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.table import Table

from dist_mcl.evaluation.answers import main_score_name
from dist_mcl.evaluation.modalities import ACCURACY
from dist_mcl.report.data import ModalityReport
from dist_mcl.report.headline import (
    Figure,
    exemplars_each,
    finished_of_planned,
    store_figure,
    time_figure,
    unfinished,
)
from dist_mcl.units import points

IN_TURN = (
    "From the scores above, in hundredths. S[a][b][d] is the score on data set and task d of modality b after the "
    "stage that brought modality a; a modality's score is the mean over its own d. Higher is better but for F, which "
    "may be negative. CIDEr and accuracies are of two scales: either has a T and an F, over what has it."
)
JOINT = (
    "From the scores above, in hundredths. S[b][d] is the score of the one model on data set and task d of modality b; "
    "a modality's score T is the mean over its own d, of CIDEr and of accuracies apart. Higher is better. Nothing was "
    "learned later: there is no F."
)


@dataclass(frozen=True)
class ScoreRow:
    """One data set of one modality.

    Attributes:
        score: what is measured, as exact_match.
        values: after each stage, None before the modality arrived; one where all were learned at once.
    """

    modality: str
    dataset: str
    score: str
    values: list[float | None]


def score_rows(data: ModalityReport) -> Iterator[ScoreRow]:
    """S, a row for each data set of each modality, in the order of their arrival."""
    found = data.scores
    stages = found.order[-1:] if data.is_joint else found.order
    for modality in found.order:
        for dataset in found.scores[modality][modality]:
            values = [found.scores[stage].get(modality, {}).get(dataset) for stage in stages]
            yield ScoreRow(modality, dataset, main_score_name(data.details[modality][dataset]), values)


def score_names(data: ModalityReport) -> list[str]:
    """The names of all scores that any data set has."""
    return list(dict.fromkeys(name for sets in data.details.values() for scores in sets.values() for name in scores))


def of_scale(name: str, scale: str) -> str:
    """What a number is called; of accuracies, which most runs have alone, by its name alone."""
    return name if scale == ACCURACY else f"{name}, {scale}"


def modality_table(data: ModalityReport) -> Table:
    """A row for each data set of each modality, a column for each stage, in hundredths; then T and F of the stages.

    Where all modalities were learned at once, one column, and T of each.
    """
    found = data.scores
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("modality" if data.is_joint else "stage", no_wrap=True)
    table.add_column("data set", no_wrap=True)
    for name in ["joint"] if data.is_joint else [f"after\n{number + 1}" for number in range(len(found.order))]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in score_rows(data):
        stage = row.modality if data.is_joint else f"{found.order.index(row.modality) + 1} {row.modality}"
        table.add_row(stage, row.dataset, *("" if value is None else points(value) for value in row.values))
    table.add_section()
    for scale in found.scales:
        if data.is_joint:
            for modality, value in found.summary(scale)["transfer"].items():
                table.add_row(modality, of_scale("T", scale), points(value))
            continue
        transferred = [points(found.transfer(stage, scale)) for stage in found.order]
        table.add_row("", of_scale("T, the new one", scale), *transferred)
        lost = [points(found.forgetting(stage, scale)) for stage in found.order]
        table.add_row("", of_scale("F, all before", scale), *lost)
    return table


def summary_line(data: ModalityReport) -> str:
    """The run in one sentence."""
    found, brought = data.scores, len(data.modalities)
    modalities = "modality" if brought == 1 else "modalities"
    how = "learned at once" if data.is_joint else f"in {finished_of_planned(data)}"
    last = {scale: points(found.summary(scale)["last_mean"]) for scale in found.scales}
    if found.scales == (ACCURACY,):
        return f"{brought} {modalities} {how}: mean score {last[ACCURACY]} on all of them."
    return f"{brought} {modalities} {how}: {', '.join(f'mean {scale} {value}' for scale, value in last.items())}."


def score_figures(data: ModalityReport) -> list[Figure]:
    """Of each scale mean T; where modalities were learned in turn, the mean score at the end and mean F."""
    return [figure for scale in data.scores.scales for figure in _figures_of(data, scale)]


def _figures_of(data: ModalityReport, scale: str) -> Iterator[Figure]:
    values = data.scores.summary(scale)
    transfer = of_scale("T, mean", scale), points(values["mean_transfer"])
    if data.is_joint:
        yield Figure(*transfer, "over the modalities, all learned at once")
        return
    yield Figure(*transfer, "of each modality after its own stage, in hundredths")
    last = points(values["last_mean"])
    yield Figure(of_scale("Last score", scale), last, "mean over all modalities after the last stage")
    forgotten = values["mean_forgetting"]
    undefined = "not defined after one stage" if len(data.scores.order) == 1 else "no modality that has it came before"
    note = undefined if forgotten is None else "what earlier modalities lost, over the stages"
    yield Figure(of_scale("F, mean", scale), points(forgotten), note)


def cost_figures(data: ModalityReport) -> list[Figure]:
    """What trained and how long; what is kept, where anything is."""
    most = max(data.modalities, key=lambda record: record.parameters)
    name = data.scores.order[data.modalities.index(most)]
    when = "of all modalities" if data.is_joint else f"at most in one stage, that of {name}"
    trained = Figure("Trained parameters", f"{most.parameters:,}", when)
    if not data.budget:
        return [trained, time_figure(data)]
    exemplars = Figure("Exemplars", f"{data.exemplars:,}", exemplars_each(data.modalities, "of", "modality"))
    return [trained, exemplars, store_figure(data), time_figure(data)]


def limits(data: ModalityReport) -> list[str]:
    """What a reader must not take from the report."""
    tested = sum(record.tested for record in data.modalities)
    return [
        f"One run with one seed, tested with {tested:,} questions: nothing here says how much another seed would "
        "change.",
        "No comparison: what learning the modalities in turn loses takes a run of it."
        if data.is_joint
        else "No comparison: whether a modality gains from those before it takes a run of each by itself.",
        *unfinished(data),
    ]


def metrics(data: ModalityReport) -> list[tuple[str, float | None, str]]:
    """Key, value and rule of every number that is derived from S."""
    return [
        (of_scale(name, scale), value, rule)
        for scale in data.scores.scales
        for name, value, rule in _metrics_of(data, scale)
    ]


def _metrics_of(data: ModalityReport, scale: str) -> list[tuple[str, float | None, str]]:
    values = data.scores.summary(scale)
    mean_transfer = ("mean_transfer", values["mean_transfer"], "mean over the modalities m of T_m")
    if data.is_joint:
        found = values["transfer"].items()
        return [mean_transfer, *((f"T {name}", value, "mean over d of S[m][d]") for name, value in found)]
    rows: list[tuple[str, float | None, str]] = [
        mean_transfer,
        ("mean_forgetting", values["mean_forgetting"], "mean over the modalities m but the first of F_m"),
        ("last_mean", values["last_mean"], "mean over the modalities of their scores after the last stage"),
    ]
    rule = "mean over the modalities i before m, of the mean over d of S[i][i][d] - S[m][i][d]"
    transferred = [(f"T {name}", value, "mean over d of S[m][m][d]") for name, value in values["transfer"].items()]
    lost = [(f"F {name}", value, rule) for name, value in values["forgetting"].items() if value is not None]
    return [*rows, *transferred, *lost]

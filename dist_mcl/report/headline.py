"""What a run over classes comes to, in a few figures: the same for the page and for the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dist_mcl.evaluation import summarise
from dist_mcl.report.data import ClassRecord, ClassReport, ModalityRecord, ReportData
from dist_mcl.units import UNDEFINED, count_bytes, duration, percent, points, size

CONVENTIONS = (
    "From the matrix above, in percent or points. T is the number of stages, A_t the accuracy on all classes seen "
    "after stage t; libraries differ in what they call forgetting, so each number carries its rule. A dash is a number "
    "that this run does not define: forgetting needs two stages, forward transfer an evaluation on classes before they "
    "are learned, which one growing head cannot give."
)


@dataclass(frozen=True)
class Figure:
    """One figure with its name and what a reader needs to judge it."""

    name: str
    value: str
    note: str


def summary_line(data: ClassReport) -> str:
    """The run in one sentence."""
    last = percent(summarise(data.matrix)["last_accuracy_pooled"])
    memory = f"{data.exemplars:,} exemplars in {size(data.store_bytes)}" if data.budget else "no exemplars"
    return f"{len(data.classes)} classes in {finished_of_planned(data)}, {memory}: {last} accuracy on all of them."


def finished_of_planned(data: ReportData) -> str:
    """How many are finished, and of how many where the run is not."""
    done, planned = len(data.stages), data.planned_stages
    return f"{done} {'stage' if done == 1 else 'stages'}" if done == planned else f"{done} of {planned} stages"


def accuracy_figures(data: ClassReport) -> list[Figure]:
    """Average, last and forgetting: pooled over test items, with the other convention in the note."""
    values = summarise(data.matrix)
    average, last = "average_incremental_accuracy", "last_accuracy"
    if data.matrix.stages == 1:
        forgotten = "not defined after one stage"
    else:
        forgotten = f"points below each stage's best; BWT {points(values['bwt_gem'])}"
    return [
        Figure(
            "Average accuracy",
            percent(values[f"{average}_pooled"]),
            f"over the stages, pooled; {percent(values[f'{average}_macro'])} macro",
        ),
        Figure(
            "Last accuracy",
            percent(values[f"{last}_pooled"]),
            f"all classes, pooled; {percent(values[f'{last}_macro'])} macro",
        ),
        Figure("Forgetting", points(values["forgetting_max_prev"]), forgotten),
    ]


def memory_figures(data: ClassReport) -> list[Figure]:
    """Exemplars, bytes, bytes per exemplar beside the whole picture, time."""
    return [_exemplars(data), store_figure(data), _per_exemplar(data), time_figure(data)]


def coded_bytes_per_exemplar(data: ClassReport) -> float | None:
    """Mean bytes of a coded exemplar, picture and text, without the store's overhead; None without exemplars."""
    return sum(record.coded_bytes for record in data.classes) / data.exemplars if data.exemplars else None


def limits(data: ClassReport) -> list[str]:
    """What a reader must not take from the report."""
    lines = [
        "One run with one seed: nothing here says how much another seed would change. From the "
        f"{data.matrix.items.sum():,} test items alone, the last accuracy has a standard error of "
        f"{points(_standard_error(data))} points."
    ]
    if not data.budget:
        lines.append(
            "The budget is 0, so this run says nothing about exemplars or masks: it is the control without memory."
        )
    else:
        lines.append(
            "No comparison: whether these masks beat whole pictures or random patches in the same bytes takes runs of "
            "both."
        )
    if data.budget and data.whole_image_bytes is not None:
        lines.append(
            "The whole-picture JPEG counts the picture alone; bytes per exemplar count its text and its share of every "
            "file."
        )
    return lines + unfinished(data)


def unfinished(data: ReportData) -> list[str]:
    """That a run is not finished, where it is not."""
    return [] if data.planned_stages == len(data.stages) else [f"The run is not finished: {finished_of_planned(data)}."]


def _standard_error(data: ClassReport) -> float:
    """Standard error of the last accuracy that comes from the number of test items alone (binomial)."""
    last = summarise(data.matrix)["last_accuracy_pooled"]
    assert last is not None  # an accuracy is always defined
    return math.sqrt(last * (1 - last) / int(data.matrix.items.sum()))


def _exemplars(data: ClassReport) -> Figure:
    in_a_class = exemplars_each(data.classes, "in", "class")
    if data.exemplars and data.whole_image_bytes is not None:
        in_a_class += f", in the bytes of {data.store_bytes / data.whole_image_bytes:,.0f} whole pictures"
    note = in_a_class if data.exemplars else "no memory of earlier stages"
    return Figure("Exemplars", f"{data.exemplars:,}", note)


def exemplars_each(records: Sequence[ClassRecord | ModalityRecord], of: str, group: str) -> str:
    """How many of them a class or a modality has: `7 in each class`, `3 to 7 of a modality`."""
    counts = [record.exemplars for record in records]
    fewest, most = min(counts), max(counts)
    return f"{most} {of} each {group}" if fewest == most else f"{fewest} to {most} {of} a {group}"


def store_figure(data: ReportData) -> Figure:
    """Bytes of the store, beside its budget."""
    if not data.budget:
        return Figure("Bytes used", size(data.store_bytes), "budget 0")
    return Figure(
        "Bytes used",
        size(data.store_bytes),
        f"{percent(data.store_bytes / data.budget)} of the budget of {size(data.budget)}, all files",
    )


def _per_exemplar(data: ClassReport) -> Figure:
    coded = coded_bytes_per_exemplar(data)
    if coded is None:
        return Figure("Bytes per exemplar", UNDEFINED, "no exemplars")
    note = f"{count_bytes(coded)} of it coded tokens"
    if data.whole_image_bytes is not None:
        note += f"; the whole picture as JPEG q{data.whole_image_quality}: {count_bytes(data.whole_image_bytes)}"
    return Figure("Bytes per exemplar", count_bytes(data.store_bytes / data.exemplars), note)


def time_figure(data: ReportData) -> Figure:
    """How long the stages took."""
    steps: Counter[str] = Counter()
    for stage in data.stages:
        steps.update(stage.seconds)
    longest, seconds = max(steps.items(), key=lambda step: step[1])
    note = f"in the stages' steps, {duration(seconds)} of it in {longest}; starting processes comes on top"
    return Figure("Time", duration(data.seconds), note)

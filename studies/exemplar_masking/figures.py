"""The study's two pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from studies.exemplar_masking.grid import CURVE, PHASES, middle
from studies.exemplar_masking.summary import Group
from studies.figures import BLACK, BLUE, GREEN, ORANGE, new_figure, save, styled
from studies.spread import Spread

COLOURS = {"jpeg_q75": BLACK, "random": ORANGE, "compact": BLUE, "paper": GREEN}
MASKS = ("random", "paper", "compact")


def write_figures(found: list[Group], folder: Path) -> None:
    """Write accuracy_bytes.svg and masks.svg."""
    photo = [group for group in found if (group.data, group.phases) == ("photo", PHASES)]
    folder.mkdir(parents=True, exist_ok=True)
    with styled("exemplar masking"):
        save(_accuracy_against_bytes(photo), folder / "accuracy_bytes.svg")
        save(_masks([group for group in photo if group.budget == middle("photo")]), folder / "masks.svg")


def _accuracy_against_bytes(photo: list[Group]) -> Figure:
    figure = new_figure()
    axes = figure.subplots()
    for method in CURVE:
        mine = sorted((group for group in photo if group.method == method), key=lambda group: group.budget)
        if mine:
            axes.errorbar(
                [group.budget for group in mine],
                [group.average.mean for group in mine],
                [group.average.deviation for group in mine],
                label=method,
                color=COLOURS[method],
                marker="o",
                capsize=3,
            )
    budgets = sorted({group.budget for group in photo if group.budget})
    axes.set_xscale("log")
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.set_xlabel("budget, KiB of all files")
    axes.set_ylabel("average accuracy, %")
    if budgets:
        axes.legend()
    return figure


def _masks(groups: list[Group]) -> Figure:
    """Of each method, how much of the object it keeps, against how much of the picture."""
    figure = new_figure()
    axes = figure.subplots()
    for group in groups:
        if group.method not in MASKS:
            continue
        kept, recall = (
            Spread(tuple(100 * result["outline"][key] for result in group.results)).mean for key in ("kept", "recall")
        )
        axes.plot(kept, recall, "o", color=COLOURS[group.method])
        axes.annotate(group.method, (kept, recall), textcoords="offset points", xytext=(6, -3))
    axes.plot([0, 100], [0, 100], color="#aaaaaa", linewidth=1)  # where patches lie that are drawn evenly
    axes.set_xlabel("patches kept, %")
    axes.set_ylabel("patches of the object kept, %")
    axes.set_xlim(0, 100)
    return figure

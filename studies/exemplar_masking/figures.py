"""The study's two pictures, as SVG files that look the same on light and dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from studies.exemplar_masking.grid import CURVE, PHASES, middle
from studies.exemplar_masking.summary import Group, Spread

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {"jpeg_q75": "#000000", "random": "#E69F00", "compact": "#0072B2", "paper": "#009E73"}
MASKS = ("random", "paper", "compact")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "svg.hashsalt": "exemplar masking",
}


def write_figures(found: list[Group], folder: Path) -> None:
    """Write accuracy_bytes.svg and masks.svg."""
    photo = [group for group in found if (group.data, group.phases) == ("photo", PHASES)]
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        _save(_accuracy_against_bytes(photo), folder / "accuracy_bytes.svg")
        _save(_masks([group for group in photo if group.budget == middle("photo")]), folder / "masks.svg")


def _accuracy_against_bytes(photo: list[Group]) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
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
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
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


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, facecolor="white", metadata={"Date": None})

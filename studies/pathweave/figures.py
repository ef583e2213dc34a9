"""The study's two pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from studies.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, new_figure, save, styled
from studies.pathweave.grid import stage_names
from studies.pathweave.summary import Group, by_method

COLOURS = {
    "ana": BLUE,
    "independent": ORANGE,
    "independent_wider": ORANGE,
    "lora": BLACK,
    "lora_ewc": GREY,
    "lora_lwf": PURPLE,
    "lora_replay": GREEN,
    "full": VERMILION,
}
STYLES = {"independent_wider": "--"}  # of one colour with another


def write_figures(found: list[Group], folder: Path) -> None:
    """Write stages.svg and forgetting.svg."""
    in_turn = [group for group in by_method(found).values() if not group.is_joint]
    folder.mkdir(parents=True, exist_ok=True)
    with styled("pathweave"):
        save(_over_stages(in_turn), folder / "stages.svg")
        save(_forgetting(in_turn), folder / "forgetting.svg")


def _over_stages(groups: list[Group]) -> Figure:
    figure = new_figure()
    axes = figure.subplots()
    for group in groups:
        spreads = group.over_stages()
        axes.errorbar(
            range(1, len(spreads) + 1),
            [spread.mean for spread in spreads],
            [spread.deviation for spread in spreads],
            label=group.method,
            color=COLOURS[group.method],
            linestyle=STYLES.get(group.method, "-"),
            marker="o",
            capsize=3,
        )
    names = stage_names()
    axes.set_xticks(range(1, len(names) + 1), [f"+ {name}" if place else name for place, name in enumerate(names)])
    axes.set_ylabel("mean score of all modalities so far, %")
    if groups:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _forgetting(groups: list[Group]) -> Figure:
    """A row for each method: what it scores right after each modality's stage, and at the end."""
    figure = new_figure()
    axes = figure.subplots()
    for row, group in enumerate(groups):
        learned, kept, colour = group.transfer, group.mean_score, COLOURS[group.method]
        axes.plot([learned.mean, kept.mean], [row, row], color=colour, linewidth=3, alpha=0.3)
        is_first = row == 0
        for spread, face, label in ((learned, "white", "after its own stage, T"), (kept, colour, "after the last")):
            axes.errorbar(
                spread.mean,
                row,
                xerr=spread.deviation,
                fmt="o",
                color=colour,
                markerfacecolor=face,
                capsize=3,
                label=label if is_first else None,
            )
    axes.set_yticks(range(len(groups)), [group.method for group in groups])
    axes.set_xlabel("mean score of all modalities, %")
    if groups:
        axes.set_ylim(len(groups) - 0.5, -0.5)  # the first one on top
        axes.legend(fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure

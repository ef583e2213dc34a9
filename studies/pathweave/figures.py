"""The study's two pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from studies.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, new_figure, save, styled
from studies.pathweave.grid import stage_names
from studies.pathweave.summary import Group, by_method

COLOURS = {
    "ana": BLUE,
    "ana_official": SKY,
    "independent": ORANGE,
    "independent_wider": ORANGE,
    "lora": BLACK,
    "lora_ewc": GREY,
    "lora_lwf": PURPLE,
    "lora_replay": GREEN,
    "full": VERMILION,
}
DASHED = ("independent_wider",)  # beside another one of the same colour


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
            linestyle="--" if group.method in DASHED else "-",
            marker="o",
            capsize=3,
        )
    names = stage_names()
    axes.set_xticks(range(1, len(names) + 1), [f"+ {name}" if place else name for place, name in enumerate(names)])
    axes.set_ylabel("mean score of all modalities so far, %")
    if groups:
        axes.legend(fontsize=8, ncols=2)
    return figure


def _forgetting(groups: list[Group]) -> Figure:
    """Of each method, what it forgets, against how much it trains."""
    figure = new_figure()
    axes = figure.subplots()
    for group in groups:
        lost = group.forgetting
        assert lost is not None  # modalities arrive one by one
        place = group.trained_share.mean, lost.mean
        axes.errorbar(*place, lost.deviation, fmt="o", color=COLOURS[group.method], capsize=3)
        axes.annotate(group.method, place, textcoords="offset points", xytext=(6, 3))
    axes.set_xscale("log")
    axes.set_xlim(0.5, 400)
    axes.set_xlabel("parameters trained, % of full fine-tuning's")
    axes.set_ylabel("F, points")
    return figure

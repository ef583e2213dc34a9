"""The curves and bars of the report as inline SVG whose colours are the page's CSS variables.

Matplotlib wants concrete colours, the page wants ones that follow light, dark and print. So each CSS colour is drawn as
a placeholder of its own and put back in the SVG text. Only numbers and fixed words are drawn, no text of a user.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from dist_mcl.evaluation import accuracy_macro, accuracy_pooled
from dist_mcl.report.data import ClassReport, LossCurve, ModalityReport, ReportData

SERIES = ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)")
"""CSS colours of curves, told apart by colour-blind readers too."""

_WIDE, _SMALL = (4.6, 2.7), (2.1, 1.6)  # inches
_ACCURACY, _SCORE = "accuracy, %", "score, in hundredths"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "legend.frameon": False,
}


class _Colours:
    """Placeholders for CSS colours; `put_back` turns them into the CSS again."""

    def __init__(self) -> None:
        self._placeholders: dict[str, str] = {}

    def __call__(self, css: str) -> str:
        return self._placeholders.setdefault(css, f"#{0xC0FE00 + len(self._placeholders):06x}")

    def put_back(self, svg: str) -> str:
        for css, placeholder in self._placeholders.items():
            svg = svg.replace(placeholder, css)
        return svg


def _svg(label: str, inches: tuple[float, float], draw: Callable[[Axes, _Colours], None]) -> str:
    """The `<svg>` element that `draw` fills.

    `label` says what it shows to readers who cannot see it, and keeps its ids apart from those of other figures.
    """
    colour, buffer = _Colours(), io.StringIO()
    with mpl.rc_context({**_STYLE, **_ink(colour), "svg.hashsalt": label}):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.subplots(), colour)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    element = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    # Groups are numbered alike in every figure, and nothing refers to them; ids must be unique on the page.
    return colour.put_back(re.sub(r'<g id="[^"]*"', "<g", element))


def _ink(colour: _Colours) -> dict[Any, Any]:
    ink = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    rule = ("axes.edgecolor", "grid.color", "xtick.color", "ytick.color")
    return dict.fromkeys(ink, colour("var(--muted)")) | dict.fromkeys(rule, colour("var(--rule)"))


def accuracy_over_stages(data: ClassReport) -> str:
    """A_t on all classes seen, pooled and macro, over the stages."""
    pooled, macro = accuracy_pooled(data.matrix), accuracy_macro(data.matrix)
    label = "Accuracy on all classes seen so far, after each stage"
    return _two_curves(label, _ACCURACY, {"pooled": pooled, "macro": macro})


def transfer_and_forgetting(data: ModalityReport, scale: str) -> str:
    """T and F of each stage, of one scale."""
    found = data.scores
    lost = [math.nan if (value := found.forgetting(name, scale)) is None else value for name in found.order]
    label = f"T of each stage's modality and F of all before, by stage: {scale}"
    transferred = [found.transfer(name, scale) for name in found.order]
    return _two_curves(label, _SCORE, {"T": np.array(transferred), "F": np.array(lost)})


def accuracy_by_stage(data: ClassReport) -> str:
    """Accuracy on the classes of each stage, from the stage that brought them on."""
    label = "Accuracy on the classes of each stage, after that and every later stage"
    return _by_stage(label, _ACCURACY, data.matrix.accuracy)


def score_by_modality(data: ModalityReport, scale: str) -> str:
    """Mean score of one scale on each modality, from its own stage on."""
    found = data.scores
    label = f"Mean score on the data sets of each modality, after its own and every later stage: {scale}"
    means = np.full((len(found.order), len(found.order)), np.nan)
    for stage, after in enumerate(found.order):
        means[stage, : stage + 1] = [found.mean(after, name, scale) for name in found.order[: stage + 1]]
    return _by_stage(label, _SCORE, means)


def _two_curves(label: str, unit: str, curves: Mapping[str, NDArray[np.float64]]) -> str:
    def draw(axes: Axes, colour: _Colours) -> None:
        for (name, values), form, css in zip(curves.items(), ("o-", "s--"), SERIES, strict=False):
            axes.plot(np.arange(1, len(values) + 1), 100 * values, form, color=colour(css), label=name)
        axes.legend(loc="best")
        _hundredths_over_stages(axes, unit, np.array(list(curves.values())))

    return _svg(label, _WIDE, draw)


def _by_stage(label: str, unit: str, values: NDArray[np.float64]) -> str:
    """A curve for each column of (T, T), from its own stage on, with its number."""
    last = len(values)

    def draw(axes: Axes, colour: _Colours) -> None:
        for stage in range(last):
            share = 100 * stage / max(1, last - 1)
            css = f"color-mix(in oklch, var(--stage-last) {share:.0f}%, var(--stage-first))"
            curve = 100 * values[stage:, stage]
            axes.plot(np.arange(stage + 1, last + 1), curve, "o-", color=colour(css))
            if math.isfinite(curve[0]):
                _number(axes, stage + 1, float(curve[0]), colour(css), colour("var(--page)"))
        _hundredths_over_stages(axes, unit, values)

    return _svg(label, _WIDE, draw)


def store_by_stage(data: ReportData) -> str:
    """Bytes of the store after each stage, under the budget."""
    kib, budget = [stage.store_bytes / 1024 for stage in data.stages], data.budget / 1024

    def draw(axes: Axes, colour: _Colours) -> None:
        axes.bar(np.arange(1, len(kib) + 1), kib, width=0.55, color=colour(SERIES[0]))
        axes.axhline(budget, color=colour(SERIES[1]), linestyle="--")
        axes.set_ylim(0, max(budget, *kib) * 1.1)
        axes.set_ylabel("KiB, all files")
        _stage_axis(axes, len(kib))

    return _svg("Bytes of the exemplar store after each stage, and the budget", _WIDE, draw)


def loss_names(data: ReportData) -> list[str]:
    """Names of the loss curves in order of first appearance; the i-th has colour `SERIES[i % 4]`."""
    return list(dict.fromkeys(curve.name for stage in data.stages for curve in stage.losses))


def losses(data: ReportData) -> list[str]:
    """One small figure for each stage that has loss curves, all on the same scale."""
    values = (value for stage in data.stages for curve in stage.losses for value in curve.values)
    top = 1.05 * max(filter(math.isfinite, values), default=1.0)
    names = loss_names(data)
    return [
        _loss(number, stage.losses, names, top) for number, stage in enumerate(data.stages, start=1) if stage.losses
    ]


def _loss(stage: int, curves: Sequence[LossCurve], names: list[str], top: float) -> str:
    def draw(axes: Axes, colour: _Colours) -> None:
        for curve in curves:
            css = SERIES[names.index(curve.name) % len(SERIES)]
            axes.plot(curve.steps, curve.values, color=colour(css), alpha=0.35, linewidth=0.8)
            axes.plot(curve.steps, _smooth(curve.values), color=colour(css))
        axes.set(ylim=(0, top), title=f"Stage {stage}", xlabel="optimiser step")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))

    return _svg(f"Training loss in stage {stage}", _SMALL, draw)


def _smooth(values: ArrayLike) -> NDArray[np.float64]:
    """Mean over the twentieth of the curve up to each point, less at its start, without what is not finite."""
    series = np.asarray(values, np.float64)
    window = max(1, len(series) // 20)
    known = np.isfinite(series)
    total = np.cumsum(np.where(known, series, 0.0))
    count = np.cumsum(known)
    total[window:], count[window:] = total[window:] - total[:-window], count[window:] - count[:-window]
    return np.divide(total, count, out=np.full(len(series), np.nan), where=count > 0)


def _number(axes: Axes, stage: int, percent: float, colour: str, page: str) -> None:
    """The stage's number above the first point of its curve, on a patch of page so that no curve runs through it."""
    patch = {"boxstyle": "round,pad=0.05", "facecolor": page, "edgecolor": "none"}
    axes.annotate(
        str(stage), (stage, percent), (0, 8), textcoords="offset points", ha="center", va="center", color=colour,
        fontsize=8, bbox=patch, zorder=4,
    )  # fmt: skip


def _hundredths_over_stages(axes: Axes, unit: str, values: NDArray[np.float64]) -> None:
    """An axis from 0 to 100, and farther where values lie outside.

    Args:
        values: (..., T) fractions; NaN is none.
    """
    lowest, highest = 100 * float(np.nanmin(values)), 100 * float(np.nanmax(values))
    axes.set_ylim(min(0.0, 1.1 * lowest), 1.1 * max(100.0, highest))
    if lowest >= 0 and highest <= 100:
        axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel(unit)
    _stage_axis(axes, values.shape[-1])


def _stage_axis(axes: Axes, stages: int) -> None:
    axes.set_xlim(0.5, stages + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("after stage")

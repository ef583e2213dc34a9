"""Pictures of a study's page: SVG files that look the same on light and dark pages, and equal for equal results."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLACK, ORANGE, GREEN = "#000000", "#E69F00", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"


def styled(study: str) -> AbstractContextManager[None]:
    """In which a study's pictures are drawn."""
    return mpl.rc_context({**STYLE, "svg.hashsalt": study})


def new_figure() -> Figure:
    return Figure(figsize=(6.4, 4.0), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, facecolor="white", metadata={"Date": None})

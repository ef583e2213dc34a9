"""Tables of a study's page, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from studies.spread import Spread

Row = TypeVar("Row")
Column = tuple[str, Callable[[Row], str]]
"""A title, and what a row has below it."""


def table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> str:
    """The first column to the left, all others to the right; a note where there are no rows yet."""
    if not rows:
        return "*(not run yet)*"
    head = [title for title, _ in columns]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([text(row) for _, text in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread_text(found: Spread | None, sign: bool = False) -> str:
    """Mean ± standard deviation; the mean alone of a single seed, nothing of nothing."""
    if found is None:
        return ""
    mean = f"{found.mean:+.1f}" if sign else f"{found.mean:.1f}"
    return mean if math.isnan(found.deviation) else f"{mean} ± {found.deviation:.1f}"

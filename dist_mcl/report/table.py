"""The short table that a run prints at its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from dist_mcl.evaluation import accuracy_pooled
from dist_mcl.report import headline, modalities
from dist_mcl.report.data import ClassReport, ModalityReport
from dist_mcl.units import duration, percent, size


def summary_table(data: ClassReport | ModalityReport) -> Group:
    """What was learned stage by stage, then the headline figures; of classes, 80 columns are enough for any number."""
    if isinstance(data, ClassReport):
        line, stages = headline.summary_line(data), _stages(data)
        figures = [*headline.accuracy_figures(data), *headline.memory_figures(data)]
    else:
        line, stages = modalities.summary_line(data), modalities.modality_table(data)
        figures = [*modalities.score_figures(data), *modalities.cost_figures(data)]
    return Group(Text(f"{data.name}: {line}"), stages, _figures(figures))


def _stages(data: ClassReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("stage", "new classes", "earlier", "all seen", "exemplars", "bytes", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    matrix, pooled = data.matrix, accuracy_pooled(data.matrix)
    for row, stage in enumerate(data.stages):
        # NaN, shown as a dash, where there is no earlier stage
        earlier = np.average(matrix.accuracy[row, :row], weights=matrix.items[:row]) if row else np.nan
        table.add_row(
            str(row + 1),
            percent(float(matrix.accuracy[row, row])),
            percent(float(earlier)),
            percent(float(pooled[row])),
            f"{stage.exemplars:,}",
            size(stage.store_bytes),
            duration(sum(stage.seconds.values())),
        )
    return table


def _figures(figures: Sequence[headline.Figure]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim")
    for figure in figures:
        table.add_row(Text(figure.name), Text(figure.value), Text(figure.note))
    return table

"""The report as one HTML file: no script, nothing loaded from anywhere, legible in light, dark and on paper."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dist_mcl import units
from dist_mcl.evaluation import METRICS, accuracy_macro, accuracy_pooled, summarise
from dist_mcl.files import write_text
from dist_mcl.report import figures, headline
from dist_mcl.report.data import ExemplarPicture, ReportData
from dist_mcl.report.pictures import masked_png


def write_report(data: ReportData, path: Path) -> None:
    """Write the report to `path`, replacing an older one only when the new one is complete.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    write_text(path, render_html(data))


def render_html(data: ReportData) -> str:
    """The whole page; equal data gives an equal page."""
    environment = Environment(
        loader=PackageLoader("dist_mcl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "count_bytes", "size", "duration"):
        environment.filters[name] = getattr(units, name)
    return environment.get_template("report.html").render(_content(data))


def _content(data: ReportData) -> dict[str, Any]:
    return {
        "data": data,
        "summary": headline.summary_line(data),
        "accuracy_figures": headline.accuracy_figures(data),
        "memory_figures": headline.memory_figures(data),
        "standard_error": headline.standard_error(data),
        "pooled": accuracy_pooled(data.matrix).tolist(),
        "macro": accuracy_macro(data.matrix).tolist(),
        "metrics": [(key, value, METRICS[key].explanation) for key, value in summarise(data.matrix).items()],
        "step_names": list(dict.fromkeys(name for stage in data.stages for name in stage.seconds)),
        "loss_key": list(zip(figures.loss_names(data), figures.SERIES * len(data.stages), strict=False)),
        "gallery": _gallery(data),
        "figures": _figures(data),
    }


def _figures(data: ReportData) -> dict[str, Any]:
    # Markup: SVG that this package drew, from numbers alone; everything else on the page is escaped.
    return {
        "accuracy_over_stages": Markup(figures.accuracy_over_stages(data)),
        "accuracy_by_stage": Markup(figures.accuracy_by_stage(data)),
        "store_by_stage": Markup(figures.store_by_stage(data)) if data.budget else None,
        "losses": [Markup(svg) for svg in figures.losses(data)],
    }


def _gallery(data: ReportData) -> list[dict[str, Any]]:
    """The classes that have exemplars to show, each with these in herding order."""
    by_class: dict[str, list[ExemplarPicture]] = {}
    for exemplar in sorted(data.gallery, key=lambda item: item.rank):
        by_class.setdefault(exemplar.class_name, []).append(exemplar)
    return [
        {"record": record, "cards": [_card(exemplar) for exemplar in by_class[record.name]]}
        for record in data.classes
        if record.name in by_class
    ]


def _card(exemplar: ExemplarPicture) -> dict[str, Any]:
    return {
        "png": base64.b64encode(masked_png(exemplar)).decode("ascii"),
        "words": exemplar.words,
        "rank": exemplar.rank,
        "coded_bytes": exemplar.coded_bytes,
        "kept": int(exemplar.kept.sum()),
        "places": exemplar.kept.size,
        "keep_ratio": float(exemplar.kept.mean()),
    }

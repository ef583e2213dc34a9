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
from dist_mcl.report import figures, headline, modalities
from dist_mcl.report.data import ClassReport, ExemplarPicture, ModalityReport, ReportData
from dist_mcl.report.pictures import masked_png

_SHOWN_SECONDS = 0.05


def write_report(data: ClassReport | ModalityReport, path: Path) -> None:
    """Write the report to `path`, replacing an older one only when the new one is complete.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    write_text(path, render_html(data))


def render_html(data: ClassReport | ModalityReport) -> str:
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


def _content(data: ClassReport | ModalityReport) -> dict[str, Any]:
    # Markup: SVG that this package drew, from numbers alone; everything else on the page is escaped.
    own = _of_classes(data) if isinstance(data, ClassReport) else _of_modalities(data)
    return own | {
        "data": data,
        "step_names": _steps_that_take_time(data),
        "loss_key": list(zip(figures.loss_names(data), figures.SERIES * len(data.stages), strict=False)),
        "losses": [Markup(svg) for svg in figures.losses(data)],
        "store_by_stage": Markup(figures.store_by_stage(data)) if data.budget else None,
    }


def _of_classes(data: ClassReport) -> dict[str, Any]:
    return {
        "parts": ["accuracy.html", "memory.html", "classes.html", "gallery.html", "training.html", "appendix.html"],
        "brings": "new classes",
        "summary": headline.summary_line(data),
        "headlines": {"accuracy": headline.accuracy_figures(data), "memory": headline.memory_figures(data)},
        "pooled": accuracy_pooled(data.matrix).tolist(),
        "macro": accuracy_macro(data.matrix).tolist(),
        "curves": {
            "On all classes seen so far.": Markup(figures.accuracy_over_stages(data)),
            "On the classes of each stage, numbered where they were learned.": Markup(figures.accuracy_by_stage(data)),
        },
        "gallery": _gallery(data),
        "limits": headline.limits(data),
        "conventions": headline.CONVENTIONS,
        "metrics": [(key, value, METRICS[key].explanation) for key, value in summarise(data.matrix).items()],
    }


def _of_modalities(data: ModalityReport) -> dict[str, Any]:
    memory = ["memory.html"] if data.budget else []
    return {
        "parts": ["scores.html", "modalities.html", *memory, "training.html", "appendix.html"],
        "brings": "new modality",
        "summary": modalities.summary_line(data),
        "headlines": {"accuracy": modalities.score_figures(data), "memory": modalities.cost_figures(data)},
        "score_rows": list(modalities.score_rows(data)),
        "score_names": modalities.score_names(data),
        "of_scale": modalities.of_scale,
        "curves": {} if data.is_joint else _curves_of_modalities(data),
        "limits": modalities.limits(data),
        "conventions": modalities.JOINT if data.is_joint else modalities.IN_TURN,
        "metrics": modalities.metrics(data),
    }


def _curves_of_modalities(data: ModalityReport) -> dict[str, Markup]:
    curves = {}
    for scale in data.scores.scales:
        each = modalities.of_scale("On each modality, the mean of its data sets, numbered where it was learned", scale)
        both = modalities.of_scale("T of the modality that a stage brings, and F of all before it", scale)
        curves[f"{each}."] = Markup(figures.score_by_modality(data, scale))
        curves[f"{both}."] = Markup(figures.transfer_and_forgetting(data, scale))
    return curves


def _steps_that_take_time(data: ReportData) -> list[str]:
    """The steps of stages, without those that had nothing to do."""
    names = dict.fromkeys(name for stage in data.stages for name in stage.seconds)
    return [name for name in names if any(stage.seconds.get(name, 0) >= _SHOWN_SECONDS for stage in data.stages)]


def _gallery(data: ClassReport) -> list[dict[str, Any]]:
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

"""One HTML page and one short table that say what a run learned, forgot and kept. Filled from plain data."""

from dist_mcl.report.collect import collect, modality_scores
from dist_mcl.report.data import (
    ClassRecord,
    ClassReport,
    ExemplarPicture,
    LossCurve,
    ModalityRecord,
    ModalityReport,
    StageRecord,
    Word,
)
from dist_mcl.report.html import render_html, write_report
from dist_mcl.report.table import summary_table

__all__ = [
    "ClassRecord",
    "ClassReport",
    "ExemplarPicture",
    "LossCurve",
    "ModalityRecord",
    "ModalityReport",
    "StageRecord",
    "Word",
    "collect",
    "modality_scores",
    "render_html",
    "summary_table",
    "write_report",
]

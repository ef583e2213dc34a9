"""One HTML page and one short table that say what a run learned, forgot and kept. Filled from plain data."""

from dist_mcl.report.collect import collect
from dist_mcl.report.data import ClassRecord, ExemplarPicture, LossCurve, ReportData, StageRecord, Word
from dist_mcl.report.html import render_html, write_report
from dist_mcl.report.modalities import modality_scores, modality_table
from dist_mcl.report.table import summary_table

__all__ = [
    "ClassRecord",
    "ExemplarPicture",
    "LossCurve",
    "ReportData",
    "StageRecord",
    "Word",
    "collect",
    "modality_scores",
    "modality_table",
    "render_html",
    "summary_table",
    "write_report",
]

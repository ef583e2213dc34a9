"""What a run learned, forgot and kept, as an HTML page and a short table; and several runs side by side."""

from dist_mcl.report.collect import collect
from dist_mcl.report.compare import compare, comparison_table, outcome
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
    "compare",
    "comparison_table",
    "modality_scores",
    "modality_table",
    "outcome",
    "render_html",
    "summary_table",
    "write_report",
]

"""How runs look on a terminal: live bars, how far one is, finished ones compared. No torch, so looking is instant."""

from dist_mcl.display.bars import StageBars, describe_start
from dist_mcl.display.compare import compare, comparison_table, outcome
from dist_mcl.display.status import status_rows, status_table, watch_status

__all__ = [
    "StageBars",
    "compare",
    "comparison_table",
    "describe_start",
    "outcome",
    "status_rows",
    "status_table",
    "watch_status",
]

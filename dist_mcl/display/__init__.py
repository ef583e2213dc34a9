"""How runs look on a terminal: live bars, how far one is, finished ones compared. No torch, so looking is instant."""

from dist_mcl.display.bars import StageBars, describe_start
from dist_mcl.display.compare import compare, outcome
from dist_mcl.display.comparison import print_comparison
from dist_mcl.display.status import status_rows, status_table, watch_status

__all__ = [
    "StageBars",
    "compare",
    "describe_start",
    "outcome",
    "print_comparison",
    "status_rows",
    "status_table",
    "watch_status",
]

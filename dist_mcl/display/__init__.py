"""How a run looks on a terminal: live bars while it runs, a table when asked. No torch, so looking is instant."""

from dist_mcl.display.bars import StageBars, describe_start
from dist_mcl.display.status import status_rows, status_table, watch_status

__all__ = ["StageBars", "describe_start", "status_rows", "status_table", "watch_status"]

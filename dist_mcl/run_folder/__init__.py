"""The run folder: the only truth about a run. Nothing here imports torch, so looking at a run is instant."""

from dist_mcl.run_folder.lock import RunLock
from dist_mcl.run_folder.progress import Progress, ProgressFile, read_progress
from dist_mcl.run_folder.run import Plan, RunFolder
from dist_mcl.run_folder.stage import STEPS, StageFolder, StageState

__all__ = [
    "STEPS",
    "Plan",
    "Progress",
    "ProgressFile",
    "RunFolder",
    "RunLock",
    "StageFolder",
    "StageState",
    "read_progress",
]

"""What runs next, and what is refused before anything runs."""

from dist_mcl.coordinator.intervene import cancel, reopen
from dist_mcl.coordinator.schedule import finish_run
from dist_mcl.coordinator.start import default_folder, open_or_begin, open_or_plan
from dist_mcl.coordinator.submit import batch_scripts, load_cluster, profile_copy, queue_states, submit_run, withdraw

__all__ = [
    "batch_scripts",
    "cancel",
    "default_folder",
    "finish_run",
    "load_cluster",
    "open_or_begin",
    "open_or_plan",
    "profile_copy",
    "queue_states",
    "reopen",
    "submit_run",
    "withdraw",
]

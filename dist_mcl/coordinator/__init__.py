"""What runs next, and what is refused before anything runs."""

from dist_mcl.coordinator.intervene import cancel, reopen
from dist_mcl.coordinator.schedule import finish_run
from dist_mcl.coordinator.start import default_folder, open_or_begin

__all__ = ["cancel", "default_folder", "finish_run", "open_or_begin", "reopen"]

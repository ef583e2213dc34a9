"""Start the processes of a stage, and tell each process who it is. Imports neither torch nor dist_mcl."""

from stage_launchers.job import Handle, Job, Launcher
from stage_launchers.local import LocalLauncher
from stage_launchers.parent import die_with_launcher
from stage_launchers.rendezvous import Rendezvous, RendezvousError, rendezvous

__all__ = [
    "Handle",
    "Job",
    "Launcher",
    "LocalLauncher",
    "Rendezvous",
    "RendezvousError",
    "die_with_launcher",
    "rendezvous",
]

"""Start the processes of a stage, and tell each process who it is. Imports neither torch nor dist_mcl."""

from stage_launchers.ending import end_process
from stage_launchers.job import Capabilities, Handle, Job, Launcher, LauncherError
from stage_launchers.kinds import create_launcher, launcher_kinds
from stage_launchers.kinds.local import LocalLauncher
from stage_launchers.parent import die_with_launcher
from stage_launchers.rendezvous import Rendezvous, RendezvousError, rendezvous

__all__ = [
    "Capabilities",
    "Handle",
    "Job",
    "Launcher",
    "LauncherError",
    "LocalLauncher",
    "Rendezvous",
    "RendezvousError",
    "create_launcher",
    "die_with_launcher",
    "end_process",
    "launcher_kinds",
    "rendezvous",
]

"""A rank that was started here must not outlive its launcher: an orphan would go on writing into the run."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from stage_launchers.environment import LAUNCHER_PID

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36


def die_with_launcher() -> None:
    """Ask the kernel to kill this process when the launcher that started it dies, even by SIGKILL.

    Does nothing when no launcher of ours started this process, or outside Linux. It lasts through `exec`.
    """
    launcher = os.environ.get(LAUNCHER_PID)
    if launcher is not None:
        signal_at_parents_death(signal.SIGKILL, int(launcher))


def signal_at_parents_death(number: signal.Signals, parent: int) -> None:
    """Have the kernel send `number` to this process when its parent dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the request was made
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """Make this process the parent of all descendants whose own parent dies, so that it can still find them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

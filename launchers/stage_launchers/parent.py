"""A rank that was started here must not outlive its launcher: an orphan would go on writing into the run."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

LAUNCHER_PID = "STAGE_LAUNCHER_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_launcher() -> None:
    """Ask the kernel to kill this process when the local launcher that started it dies, even by SIGKILL.

    Does nothing when no local launcher started this process, or outside Linux.
    """
    launcher = os.environ.get(LAUNCHER_PID)
    if launcher is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it died before the request was made
        os.kill(os.getpid(), signal.SIGKILL)

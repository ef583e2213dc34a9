"""Stands between a coordinator and a launcher that leaves processes behind, and ends them all.

`python -m stage_launchers.supervisor PARENT SIGNAL TARGET PROGRAM ...` runs the program, and ends with its exit code.
SIGUSR1 asks the ranks to stop: SIGNAL goes to the launcher, or to each rank, as TARGET says. SIGTERM, or the death of
PARENT, kills the launcher and everything it started. So does the launcher's own end: what it left behind is killed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

import psutil

from stage_launchers.environment import LAUNCHER_PID
from stage_launchers.parent import adopt_orphans, signal_at_parents_death
from stage_launchers.process_tree import send

_SECONDS_FOR_THE_LAUNCHER = 3.0  # to pass the end on to other nodes, before it is killed
_SECONDS_TO_DIE = 5.0


def main(parent: int, stop_signal: signal.Signals, target: str, argv: list[str]) -> int:
    """Run the launcher to its end, and return its exit code."""
    launcher: subprocess.Popen[bytes] | None = None

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        if launcher is None:
            sys.exit(128 + signal.SIGUSR1)
        send([psutil.Process(launcher.pid)] if target == "launcher" else _ranks(), stop_signal)

    adopt_orphans()
    signal.signal(signal.SIGUSR1, ask_to_stop)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal_at_parents_death(signal.SIGTERM, parent)
    try:
        launcher = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        code = launcher.wait()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end(launcher)
    return code if code >= 0 else 128 - code


def _ranks() -> list[psutil.Process]:
    """The processes that were started through `stage_launchers.rank`, known by the variable that it leaves in them."""
    ranks = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.environ().get(LAUNCHER_PID) == str(process.ppid()):
                ranks.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return ranks


def _end(launcher: subprocess.Popen[bytes] | None) -> None:
    if launcher is not None and launcher.poll() is None:
        launcher.terminate()
        psutil.wait_procs([psutil.Process(launcher.pid)], timeout=_SECONDS_FOR_THE_LAUNCHER)
    while left := psutil.Process().children(recursive=True):  # again: one may have started another meanwhile
        send(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=_SECONDS_TO_DIE)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), signal.Signals(int(sys.argv[2])), sys.argv[3], sys.argv[4:]))

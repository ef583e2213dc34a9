"""A process and everything it started."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal every process that still is."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile, which is what was wanted
            process.send_signal(number)


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. It reaps nothing: an exit code is left to the `subprocess.Popen` that waits for it."""
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running

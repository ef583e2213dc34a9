"""Processes on this machine, one per rank."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import psutil

from stage_launchers.job import Job
from stage_launchers.parent import LAUNCHER_PID
from stage_launchers.rendezvous import free_port

_POLL_SECONDS = 0.05


class LocalLauncher:
    """Starts every process on this machine, each in its own process group, and lets none outlive a failed peer."""

    def launch(self, job: Job) -> LocalHandle:
        """Start the processes with torch's five rendezvous variables set.

        Raises:
            OSError: the program cannot be started or a log file not be opened.
        """
        shared = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(job.processes),
            "LOCAL_WORLD_SIZE": str(job.processes),
            LAUNCHER_PID: str(os.getpid()),
            **job.env,
        }
        handle = LocalHandle()
        try:
            for rank in range(job.processes):
                handle.add(job, rank, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        except OSError:
            handle.stop(grace=0)
            raise
        return handle


class LocalHandle:
    """The processes of one local job."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def add(self, job: Job, rank: int, env: dict[str, str]) -> None:
        """Start one rank, its output going to `rank-<n>.log`."""
        with (job.log_dir / f"rank-{rank}.log").open("ab") as log:
            process = subprocess.Popen(
                job.argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
        self._processes.append(process)

    def poll(self) -> int | None:
        """See `Handle.poll`; a rank that failed takes its peers with it, as they would wait for it for ever."""
        codes = [process.poll() for process in self._processes]
        failures = [code for code in codes if code]
        if failures:
            self.stop()
            return failures[0]
        return None if None in codes else 0

    def wait(self, timeout: float | None = None) -> int:
        """See `Handle.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"the job is still running after {timeout} s")
            time.sleep(_POLL_SECONDS)
        return code

    def stop(self, grace: float = 5.0) -> None:
        """See `Handle.stop`; children of the processes are ended too."""
        running = [process for process in self._processes if process.poll() is None]
        trees = [tree for process in running for tree in _tree(process.pid)]
        for process in trees:
            _signal(process, signal.SIGTERM)
        _, alive = psutil.wait_procs(trees, timeout=grace)
        for process in alive:
            _signal(process, signal.SIGKILL)
        for started in running:
            started.wait()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile, which is what was wanted
        process.send_signal(number)

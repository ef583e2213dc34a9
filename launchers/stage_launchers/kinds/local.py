"""Processes on this machine, one per rank."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import ClassVar

from stage_launchers.environment import LAUNCHER_PID, job_environment
from stage_launchers.job import Capabilities, Job, LauncherError
from stage_launchers.process_tree import alive, send, tree
from stage_launchers.rendezvous import free_port

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class LocalLauncher:
    """Starts every process on this machine, each in its own process group, and lets none outlive a failed peer."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        stop_signal=signal.SIGTERM,
        stop_target="ranks",
        forwards_term=True,
        forwards_usr1=False,
        grace=None,
        keeps_exit_codes=True,
        sets_rank_env=True,
    )

    def launch(self, job: Job) -> LocalHandle:
        """Start the processes with torch's five rendezvous variables set.

        Raises:
            LauncherError: the program cannot be started, a log file not be opened, or more than one node is asked for.
        """
        if job.nodes != 1:
            raise LauncherError(f"launcher local: {job.nodes} nodes asked for, but it knows this machine only")
        shared = {
            **job_environment(job),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(job.processes),
            "LOCAL_WORLD_SIZE": str(job.processes),
            LAUNCHER_PID: str(os.getpid()),
        }
        handle = LocalHandle()
        try:
            for rank in range(job.processes):
                handle.add(job, rank, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        except OSError as error:
            handle.stop(grace=0)
            raise LauncherError(f"launcher local: cannot start {job.argv[0]}: {error}") from error
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
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"the job is still running after {timeout} s")
            time.sleep(_POLL_SECONDS)
        return code

    def stop(self, grace: float = 5.0) -> None:
        """See `Handle.stop`; children of the processes are ended too."""
        running = [process for process in self._processes if process.poll() is None]
        members = [member for process in running for member in tree(process.pid)]
        send(members, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while alive(members) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        send(members, signal.SIGKILL)
        for process in running:
            process.wait()


LAUNCHER = LocalLauncher

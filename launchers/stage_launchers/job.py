"""What every launcher takes and gives back."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol


class LauncherError(RuntimeError):
    """A job cannot be started as asked; the message is one line that names what to change."""


@dataclass(frozen=True)
class Job:
    """The same program, started once per process.

    Attributes:
        argv: program and arguments.
        processes: how many processes on each node.
        log_dir: existing folder that receives `rank-<n>.log`, standard output and error of each process. With more
            than one node it lies on a filesystem that all of them share.
        env: variables set on top of the caller's environment.
        nodes: how many machines.
        name: what the launcher calls it where it has a place for a name.
    """

    argv: tuple[str, ...]
    processes: int
    log_dir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    nodes: int = 1
    name: str = "stage"

    @property
    def world_size(self) -> int:
        """Processes on all nodes together."""
        return self.nodes * self.processes


@dataclass(frozen=True)
class Capabilities:
    """What a launcher does by itself with signals, exit codes and variables.

    Nothing relies on them but `Handle.stop`, which sends `stop_signal` to `stop_target`; the rest is for the reader.

    Attributes:
        stop_signal: the signal that lets every process finish what it must.
        stop_target: who is sent it: the launcher, which forwards it, or every process directly.
        forwards_term: SIGTERM sent to the launcher reaches every process.
        forwards_usr1: so does SIGUSR1.
        grace: seconds from a SIGTERM to the launcher until it kills the processes; None for as long as they like.
        keeps_exit_codes: a process' exit code is the job's.
        sets_rank_env: torch's five rendezvous variables are set by the launcher.
    """

    stop_signal: signal.Signals
    stop_target: Literal["launcher", "ranks"]
    forwards_term: bool
    forwards_usr1: bool
    grace: float | None
    keeps_exit_codes: bool
    sets_rank_env: bool


class Handle(Protocol):
    """A job that was started."""

    def poll(self) -> int | None:
        """None while it runs, else its exit code: 0 when every process ended with 0, not 0 otherwise."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once there is one.

        Raises:
            TimeoutError: still running after `timeout` seconds.
        """

    def stop(self, grace: float = 5.0) -> None:
        """End every process: the launcher's stop signal, then SIGKILL after `grace` seconds."""


class Launcher(Protocol):
    """One way of starting processes. Options are the fields of the class that implements it."""

    capabilities: ClassVar[Capabilities]

    def launch(self, job: Job) -> Handle:
        """Start the job and return at once.

        Raises:
            LauncherError: it cannot be started as asked.
        """

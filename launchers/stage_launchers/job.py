"""What every launcher takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """The same program, started once per process.

    Attributes:
        argv: program and arguments.
        processes: how many processes.
        log_dir: existing folder that receives `rank-<n>.log`, standard output and error of each process.
        env: variables set on top of the caller's environment.
    """

    argv: tuple[str, ...]
    processes: int
    log_dir: Path
    env: Mapping[str, str] = field(default_factory=dict)


class Handle(Protocol):
    """A job that was started."""

    def poll(self) -> int | None:
        """None while it runs, else its exit code: 0 when every process ended with 0, the first failure otherwise."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once there is one.

        Raises:
            TimeoutError: still running after `timeout` seconds.
        """

    def stop(self, grace: float = 5.0) -> None:
        """End every process: SIGTERM, then SIGKILL after `grace` seconds."""


class Launcher(Protocol):
    """One way of starting processes."""

    def launch(self, job: Job) -> Handle:
        """Start the job and return at once."""

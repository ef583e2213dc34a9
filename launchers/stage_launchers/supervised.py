"""A job that another program starts: `deepspeed`, `mpirun`, `srun`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from stage_launchers.job import Capabilities, Job

_SECONDS_TO_KILL = 30.0


class SupervisedHandle:
    """A launcher under its supervisor, in a session of its own; the launcher's own words go to `launcher.log`."""

    def __init__(self, job: Job, argv: Sequence[str], env: Mapping[str, str], capabilities: Capabilities) -> None:
        stop = [str(int(capabilities.stop_signal)), capabilities.stop_target]
        with (job.log_dir / "launcher.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stage_launchers.supervisor", str(os.getpid()), *stop, *argv],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """See `Handle.poll`."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """See `Handle.wait`."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the job is still running after {timeout} s") from error

    def stop(self, grace: float = 5.0) -> None:
        """See `Handle.stop`."""
        if self.poll() is not None:
            return
        self._process.send_signal(signal.SIGUSR1)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(_SECONDS_TO_KILL)


def rank_argv(job: Job) -> list[str]:
    """The job's program, writing into its rank's own log file."""
    return [sys.executable, "-m", "stage_launchers.rank", str(job.log_dir.resolve()), *job.argv]

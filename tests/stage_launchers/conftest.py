"""A real Slurm of two nodes for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stage_launchers.queue import QueuedJob, query
from tests.stage_launchers.rows import require

SCRIPT = Path(__file__).parents[2] / "slurm" / "test_cluster" / "cluster"


@dataclass(frozen=True)
class Cluster:
    """The test cluster in `folder`."""

    folder: Path

    @property
    def run_command(self) -> tuple[str, ...]:
        """What to put before a command that is to run on the cluster's login node."""
        return ("env", f"SLURM_TEST_CLUSTER={self.folder}", str(SCRIPT), "run")

    def control(self, *command: str) -> None:
        """`kill-node I`, `start-node I`, `up N`, `down`."""
        subprocess.run([SCRIPT, *command], check=True, env={**os.environ, "SLURM_TEST_CLUSTER": str(self.folder)})

    def run(self, *command: str) -> str:
        return subprocess.run([*self.run_command, *command], check=True, capture_output=True, text=True).stdout

    def wait_for(self, condition: Callable[[], bool], logs: Path, seconds: float = 400.0) -> None:
        """Fails with the ends of all logs in that folder, and with what the cluster says of itself."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                written = "\n".join(f"--- {path}\n{path.read_text()}" for path in sorted(logs.rglob("*.log")))
                self.control("report")
                pytest.fail(f"condition not met within {seconds:.0f} s\n{written[-8000:]}")
            time.sleep(0.3)

    def wait_until_put_back(self, job: int, logs: Path) -> None:
        """Until the job is in the queue again, to start in two minutes."""
        self.wait_for(lambda: (state(job).state, state(job).reason) == ("PENDING", "BeginTime"), logs)

    def start_again_now(self, job: int, logs: Path) -> None:
        """Wait until the job is in the queue again, and cut the two minutes short.

        A job is in the queue some seconds before its first start has ended on its nodes. Begun in that time, it would
        be charged with the exit of that start; begun in the very second after it, it would be refused as ended already,
        since Slurm dates what it has ended in whole seconds.
        """
        self.wait_until_put_back(job, logs)
        self.wait_for(lambda: "comp" not in self.run("sinfo", "--noheader", "--Node", "--format=%t"), logs)
        time.sleep(2)
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")


def state(job: int) -> QueuedJob:
    """What Slurm says about a job that it knows."""
    return query([job])[job]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    require("slurmctld", "slurmd", "srun", "munged", "ip", "nsenter")
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("the test cluster needs root")
    # Not under the folder of the tests: the paths of Slurm's sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/var/tmp"))
    folder.rmdir()
    cluster = Cluster(folder)
    try:
        cluster.control("up", "2")
        yield cluster
    finally:
        cluster.control("down")


@pytest.fixture
def login(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The test cluster with an empty queue; this process finds its commands on the PATH, as on the login node."""
    commands = tmp_path / "login"
    commands.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        program = commands / name
        program.write_text(f'#!/bin/sh\nexec {" ".join(cluster.run_command)} {shutil.which(name)} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    cluster.run("scancel", f"--user={os.getuid()}")  # what an earlier test has left
    return cluster

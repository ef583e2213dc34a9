"""Processes of a run are killed at random moments; its result must not show it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from dist_mcl.run_folder import STEPS, RunFolder
from exemplar_store import verify

from .conftest import result, run_command

pytestmark = pytest.mark.slow

KILLS = 20
# An attempt begins to train after about half of this, on an idle machine of two cores.
SECONDS_TO_LIVE = 8.0
# Each kill is one lost attempt, and here none of them is to be the last.
SETTINGS = {"launcher__retries": "1000", "training__checkpoint__every_steps": "2"}


def kill_one(coordinator: subprocess.Popen[bytes], chance: random.Random) -> str:
    """SIGKILL one rank, all ranks, or the coordinator; says which."""
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(coordinator.pid).children(recursive=True)
        target = chance.choice(["rank", "all ranks", "coordinator"])
        if target == "coordinator" or not workers:
            coordinator.kill()
            coordinator.wait()
            psutil.wait_procs(workers, timeout=20)
            return "coordinator"
        for worker in workers if target == "all ranks" else [chance.choice(workers)]:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself just now
                os.kill(worker.pid, signal.SIGKILL)
        return target
    return "nothing"


def longest_life(folder: Path, kills: int) -> float:
    """Seconds that the next attempt may live: fewer where the run is ahead of the kills, so that all of it is hurt."""
    if not RunFolder.exists(folder):
        return SECONDS_TO_LIVE
    steps = [stage.record(step) is not None for stage in RunFolder.open(folder).stages() for step in STEPS]
    return SECONDS_TO_LIVE * (0.4 if sum(steps) / len(steps) > kills / KILLS else 1.0)


def test_killed_at_20_random_moments_the_result_is_the_same(finished_run: Path, tmp_path: Path) -> None:
    hurt = tmp_path / "hurt"
    chance = random.Random(int(os.environ.get("DIST_MCL_FAULT_SEED", "0")))
    killed: list[str] = []
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:  # the coordinator was killed: the same command again
        process = subprocess.Popen(run_command(hurt, **SETTINGS), stdout=subprocess.DEVNULL)
        while len(killed) < KILLS and process.poll() is None:
            time.sleep(chance.uniform(0.0, longest_life(hurt, len(killed))))
            if process.poll() is None:
                killed.append(kill_one(process, chance))
        code = process.wait()
    assert code == 0
    assert len(killed) == KILLS, f"the run was over after {len(killed)} kills"
    assert set(killed) >= {"rank", "all ranks", "coordinator"}
    assert verify(RunFolder.open(hurt).store, full=True).problems == []
    assert result(hurt) == result(finished_run)

"""What `srun` is asked for, on a real Slurm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stage_launchers.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

LAUNCH_ONE = Path(__file__).with_name("launch_one.py")
SALLOC = ("salloc", "--quiet", "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=2")


def exit_code_of_step(login: Cluster, folder: Path, before: str = "", *srun: str) -> int:
    """Of a step with further options of srun, in an allocation of two cores, where a shell ran `before`."""
    spec = {"kind": "slurm", "options": {"arguments": srun}, "argv": ["true"]}
    spec |= {"processes": 1, "nodes": 1, "log_dir": str(folder), "stop_after": []}
    inside = ["sh", "-c", f'{before}\nexec "$@"', "sh", sys.executable, str(LAUNCH_ONE), json.dumps(spec)]
    done = subprocess.run([*login.run_command, *SALLOC, *inside], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_step_asks_for_the_cores_of_its_job(login: Cluster, tmp_path: Path) -> None:
    srun = tmp_path / "srun"
    srun.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    assert exit_code_of_step(login, tmp_path, f"PATH={tmp_path}:$PATH") == 0
    assert "--cpus-per-task=2" in (tmp_path / "asked").read_text().split()


def test_a_step_that_slurm_does_not_begin_is_given_up(login: Cluster, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    all_cores = f"srun --cpus-per-task=2 sh -c 'touch {busy}; sleep 60' &\nwhile [ ! -e {busy} ]; do sleep 0.1; done"
    assert exit_code_of_step(login, tmp_path, all_cores, "--immediate=2") == 1
    assert "error: Unable to create step" in (tmp_path / "launcher.log").read_text()

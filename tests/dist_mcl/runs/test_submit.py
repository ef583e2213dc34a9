"""What `mcl submit` refuses, and what it shows before it submits anything. No Slurm is needed for that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import QUICKSTART, mcl, submit


def test_a_dry_run_prints_the_scripts_and_writes_nothing(tmp_path: Path) -> None:
    done = submit(tmp_path / "run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("#SBATCH --nodes=2") == 3
    assert "--stage 3 --nodes 2 --processes 1" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("profile", ["partition: [a, b]", "nodes: none", "partitoin: main"])
def test_a_wrong_profile_is_refused_by_field(tmp_path: Path, profile: str) -> None:
    (tmp_path / "profile.yaml").write_text(profile)
    command = mcl("submit", QUICKSTART, "--run", tmp_path / "run", "--cluster", tmp_path / "profile.yaml")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert profile.split(":")[0] in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()

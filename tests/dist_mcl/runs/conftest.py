"""Whole runs in real processes: the tiny backbone on a few real samples of each class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.yaml"
QUICK = {
    "model.backbone": "tiny",
    "data.max_per_class": "6",
    "scenario.stages": "3",
    "training.epochs": "1",
    "training.learning_rate": "0.02",
    "exemplars.budget": "60KiB",
}


def mcl(*arguments: str | Path) -> list[str]:
    """The command line of `mcl`."""
    return [sys.executable, "-m", "dist_mcl.cli", *map(str, arguments)]


def run_command(folder: Path, **overrides: str) -> list[str]:
    """`mcl run` of the quick configuration; `a__b=c` overrides `a.b`."""
    return mcl("run", QUICKSTART, *settings(**overrides), "--run", folder)


def settings(**overrides: str) -> list[str]:
    """The quick configuration as options of `mcl run`."""
    fields = {**QUICK, **{key.replace("__", "."): value for key, value in overrides.items()}}
    return [part for key, value in fields.items() for part in ("--set", f"{key}={value}")]


def finish(folder: Path, **overrides: str) -> None:
    """Run to the end; what the command said is shown when it fails."""
    done = subprocess.run(run_command(folder, **overrides), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three stages in two processes, to the end. Tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    finish(folder)
    return folder

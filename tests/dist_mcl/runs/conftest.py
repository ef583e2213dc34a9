"""Whole runs in real processes: the tiny backbone on a few real samples of each class."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from dist_mcl import config
from dist_mcl.coordinator.schedule import make_attempt
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.run_folder import RunFolder, RunLock
from exemplar_store import StoreReader
from stage_launchers import LocalLauncher

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.yaml"
TEST_CLUSTER = Path(__file__).parents[3] / "slurm" / "profiles" / "test-cluster.yaml"
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


def submit(folder: Path, *more: str, **overrides: str) -> subprocess.CompletedProcess[str]:
    """`mcl submit` of the quick configuration to the test cluster."""
    command = mcl("submit", QUICKSTART, *settings(**overrides), "--run", folder, "--cluster", TEST_CLUSTER, *more)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def finish(folder: Path, **overrides: str) -> None:
    """Run to the end; what the command said is shown when it fails."""
    done = subprocess.run(run_command(folder, **overrides), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def result(path: Path) -> dict[str, object]:
    """What must be equal, bit for bit: adapters, losses, accuracies, and every exemplar's bytes."""
    run = RunFolder.open(path)
    found: dict[str, object] = {}
    for stage in run.stages():
        for file in sorted(stage.adapter.iterdir()):
            found[f"{stage.number} {file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
        found[f"{stage.number} loss"] = stage.record("train")["loss"]
        found[f"{stage.number} confusion"] = stage.record("evaluate")["confusion"]
        memory = stage.record("memorise")
        found[f"{stage.number} memory"] = (memory["digest"], memory["exemplars"], memory["classes"])
    with closing(StoreReader(run.store)) as reader:
        for exemplar in reader.read_many(range(len(reader))):
            tokens = b"".join(part.values.tobytes() for _, part in sorted(exemplar.tokens.items()))
            found[f"exemplar {exemplar.sample_id}"] = hashlib.sha256(tokens).hexdigest()
    return found


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A run of three stages in two processes in `finished`, and as it was before the third in `two-stages`.

    It is made once for all workers of pytest-xdist, which share the parent of their folders.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "reference"
    finished = folder / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not (finished / "report.html").exists():
            run = open_or_begin(finished, config.load(QUICKSTART, settings()[1::2]))
            with RunLock(finished):
                for stage in run.stages()[:2]:
                    assert make_attempt(run, stage, LocalLauncher(), lambda *_: None).status == "done"
            shutil.copytree(finished, folder / "two-stages")
            finish(finished)
    return folder


@pytest.fixture(scope="session")
def finished_run(reference: Path) -> Path:
    """A run to the end, each of its stages at the first attempt. Tests must not change it."""
    return reference / "finished"


@pytest.fixture
def third_stage_left(reference: Path, tmp_path: Path) -> Path:
    """A copy of that run when two of its three stages were done."""
    return shutil.copytree(reference / "two-stages", tmp_path / "third-stage-left")

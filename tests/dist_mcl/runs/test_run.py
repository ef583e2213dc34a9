"""What a run promises: continue after a kill, the same result for any number of processes, a budget that is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from dist_mcl.cli import app
from dist_mcl.run_folder import RunFolder, StageFolder, read_progress
from exemplar_store import StoreReader, verify
from tests.stage_launchers.rows import require

from .conftest import finish, mcl, result, run_command

pytestmark = pytest.mark.xdist_group("runs")

SECONDS_FOR_A_STEP = 240.0


def kill_in(folder: Path, stage: int, step: str) -> None:
    """Start the run, SIGKILL its coordinator when a stage is in a step, and wait for the workers to go."""
    process = subprocess.Popen(run_command(folder), stdout=subprocess.DEVNULL)
    end = time.monotonic() + SECONDS_FOR_A_STEP
    while not is_in(folder, stage, step):
        assert process.poll() is None, f"the run ended before stage {stage} {step}"
        assert time.monotonic() < end, f"stage {stage} {step} was not reached"
        time.sleep(0.005)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def is_in(folder: Path, number: int, step: str) -> bool:
    stage = StageFolder(folder / "stages" / f"{number:02d}", number)
    state = stage.state
    progress = read_progress(stage.attempt(state.attempt) / "progress.json")
    return state.status == "running" and progress is not None and progress.step == step


def test_killed_in_stage_3_the_run_continues_to_the_same_result(finished_run: Path, third_stage_left: Path) -> None:
    folder = third_stage_left
    for step in ("train", "memorise", "evaluate"):
        kill_in(folder, 3, step)
    finish(folder)
    assert RunFolder.open(folder).stage(3).state.attempt == 4
    assert [RunFolder.open(folder).stage(number).state.attempt for number in (1, 2)] == [1, 1]
    assert result(folder) == result(finished_run)


def test_one_process_gives_the_same_bits(finished_run: Path, tmp_path: Path) -> None:
    finish(tmp_path / "alone", launcher__processes="1")
    assert result(tmp_path / "alone") == result(finished_run)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "processes"), [("local", 4), ("deepspeed", 2), ("mpi", 2)])
def test_a_stage_by_any_launcher_and_number_of_processes_has_the_same_bits(
    finished_run: Path, third_stage_left: Path, kind: str, processes: int
) -> None:
    if kind == "mpi":
        require("mpirun")
    finish(third_stage_left, launcher__kind=kind, launcher__processes=str(processes))
    assert result(third_stage_left) == result(finished_run)


@pytest.mark.slow
def test_a_stage_started_by_hand(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run, folder)
    stage = RunFolder.open(folder).stage(3)
    for path in (*stage.path.glob("*.json"), stage.adapter / "head.safetensors"):
        path.unlink()
    worker = ["dist_mcl.worker", "--run", str(folder), "--stage", "3"]
    by_hand = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_accelerators", "2", "--no_local_rank"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*by_hand, "--module", *worker], env=env, check=True)
    assert stage.is_done()
    assert stage.state.attempt == 2


@pytest.mark.slow
def test_cancelled_the_run_saves_and_continues(finished_run: Path, third_stage_left: Path) -> None:
    folder = third_stage_left
    process = subprocess.Popen(run_command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + SECONDS_FOR_A_STEP
    while not is_in(folder, 3, "train"):
        assert time.monotonic() < end
        time.sleep(0.005)
    subprocess.run(mcl("cancel", folder), check=True)
    assert process.wait(timeout=120) == 1
    assert process.stderr is not None
    assert "stage 3 was cancelled; the same command continues it" in process.stderr.read()
    assert RunFolder.open(folder).stage(3).state.status == "cancelled"
    subprocess.run(mcl("retry", folder, "--stage", "3"), check=True, stdout=subprocess.DEVNULL)
    assert result(folder) == result(finished_run)


def test_the_budget_holds_and_the_store_verifies(finished_run: Path) -> None:
    store = RunFolder.open(finished_run).store
    on_disk = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert 0 < on_disk <= 60 * 1024
    assert verify(store, full=True).problems == []
    with closing(StoreReader(store)) as reader:
        assert len(reader) == RunFolder.open(finished_run).stage(3).record("memorise")["exemplars"]
        assert set(reader.stages.tolist()) == {1, 2, 3}


def test_exemplars_are_replayed_and_only_adapters_pooler_and_head_train(finished_run: Path) -> None:
    run = RunFolder.open(finished_run)
    records = [stage.record("train") for stage in run.stages()]
    assert [record["exemplars"] for record in records] == [
        0,
        *(stage.record("memorise")["exemplars"] for stage in run.stages()[:2]),
    ]
    rows = [sum(len(group) for group in run.plan.stages[: number + 1]) for number in range(3)]
    grown = [record["trainable_parameters"] - row * (32 + 1) for record, row in zip(records, rows, strict=True)]
    assert len(set(grown)) == 1  # beside the head's rows nothing was added
    assert grown[0] < 5000


def test_a_finished_run_is_not_run_again(finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("MANIFEST.json")}
    done = subprocess.run(run_command(finished_run), capture_output=True, text=True, check=True)
    assert "3 stages" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("MANIFEST.json")} == before


def test_status_and_report_of_a_finished_run(finished_run: Path) -> None:
    status = subprocess.run(mcl("status", finished_run), capture_output=True, text=True, check=True).stdout
    assert status.count("done") >= 3
    page = (finished_run / "report.html").read_text(encoding="utf-8")
    assert "animal-mammal" in page


def test_a_report_goes_as_far_as_the_first_unfinished_stage(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run, folder)
    (folder / "stages" / "02" / "metrics.json").write_text("garbage")
    said = subprocess.run(mcl("report", folder), capture_output=True, text=True, check=True).stdout
    assert "1 of 3 stages" in said
    page = (folder / "report.html").read_text(encoding="utf-8")
    names = RunFolder.open(folder).plan.class_names
    first, second, _ = RunFolder.open(folder).plan.stages
    assert all(f"<h3>{names[label]}</h3>" in page for label in first)
    assert not any(f"<h3>{names[label]}</h3>" in page for label in second)
    refused = CliRunner().invoke(app, ["compare", str(finished_run), str(folder)])
    assert "1 of 3 stages are finished" in str(refused.exception)


def test_a_finished_run_compared(finished_run: Path) -> None:
    (row,) = json.loads(CliRunner().invoke(app, ["compare", str(finished_run), "--json"]).stdout)
    (found,) = row["outcomes"]
    memory = RunFolder.open(finished_run).stage(3).record("memorise")
    assert (found["exemplars"], found["store_bytes"]) == (memory["exemplars"], memory["bytes"])
    confusion = np.array(RunFolder.open(finished_run).stage(3).record("evaluate")["confusion"])
    assert found["results"]["last"] == pytest.approx(np.trace(confusion) / confusion.sum())


def test_lora_without_memory_in_another_seed(tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    finish(folder, model__adapter__kind="lora", exemplars__budget="0", seed="1", scenario__stages="2")
    run = RunFolder.open(folder)
    assert not run.store.exists()
    assert [stage.record("memorise")["exemplars"] for stage in run.stages()] == [0, 0]
    assert (run.stage(2).adapter / "adapter_config.json").read_text().count('"LORA"') == 1

"""What a stage in a batch job leaves in the run folder before its processes begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.coordinator.batch import FAILED, NOT_READY, run_stage
from dist_mcl.coordinator.schedule import usable_cores
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder, StageState
from stage_launchers import create_launcher


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that was submitted; its job 17 is not the one that this process belongs to."""
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    run = RunFolder(tmp_path / "small", Experiment(name="small"), Plan.chain(["a", "b"], [[1], [0]]))
    run.write()
    for stage in run.stages():
        stage.write_state(StageState("submitted", job="17"))
    return run


def test_a_stage_knows_the_job_that_works_on_it(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without srun
    with pytest.raises(UserError, match=r"srun is not found"):
        run_stage(run, 1, create_launcher("slurm"))
    state = run.stage(1).state
    assert (state.job, state.status, state.attempt) == ("18", "failed", 1)
    assert state.reason is not None and "srun is not found" in state.reason


def test_a_cancelled_stage_does_too(run: RunFolder) -> None:
    run.stop_file.touch()
    assert run_stage(run, 1, create_launcher("slurm")) == FAILED
    assert (run.stage(1).state.job, run.stage(1).state.status) == ("18", "cancelled")


def test_a_stage_before_its_time_is_left_alone(run: RunFolder) -> None:
    assert run_stage(run, 2, create_launcher("slurm")) == NOT_READY
    assert run.stage(2).state == StageState("submitted", job="17")


def test_a_job_has_the_cores_that_slurm_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    alone = usable_cores()
    for given, usable in ((1, 1), (10_000, alone)):
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", str(given))
        assert usable_cores() == usable

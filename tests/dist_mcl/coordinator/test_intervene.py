"""A person stops a run, or has a stage tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.coordinator.intervene import cancel, reopen
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder, RunLock, StageState


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "small", Experiment(name="small"), Plan.chain(["a", "b", "c"], [[2], [0], [1]]))
    run.write()
    return run


def test_nothing_to_cancel_changes_nothing(run: RunFolder) -> None:
    with pytest.raises(UserError, match="nothing is running"):
        cancel(run)
    assert not run.stop_file.exists()


def test_a_running_stage_is_asked_and_a_submitted_one_taken_back(run: RunFolder) -> None:
    run.stage(1).write_state(StageState("running", 1))
    run.stage(2).write_state(StageState("submitted", job="17"))
    with RunLock(run.path):
        assert [folder.number for folder in cancel(run)] == [2]
    assert run.stop_file.exists()
    assert [folder.state.status for folder in run.stages()] == ["running", "cancelled", "waiting"]


def test_a_failed_stage_gets_all_its_retries_back(run: RunFolder) -> None:
    failed = StageState("failed", 2, "no space", 3.5, failures=2, job="17")
    run.stage(1).write_state(failed)
    run.stop_file.touch()
    reopen(run, 1)
    assert run.stage(1).state == replace(failed, status="waiting", failures=0, reason=None, job=None)
    assert not run.stop_file.exists()


@pytest.mark.parametrize(
    ("number", "says"), [(0, "--stage 0: this run has stages 1 to 3"), (2, "--stage 2: has not been tried")]
)
def test_what_cannot_be_tried_again(run: RunFolder, number: int, says: str) -> None:
    with pytest.raises(UserError, match=says):
        reopen(run, number)


def test_a_stage_in_work_is_left_alone(run: RunFolder) -> None:
    run.stage(1).write_state(StageState("running", 1))
    with RunLock(run.path), pytest.raises(UserError, match="is working on this run"):
        reopen(run, 1)
    assert run.stage(1).state.status == "running"

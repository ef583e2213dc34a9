"""A run folder appears whole, and knows its experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.display import status_rows
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder, RunLock, StageState


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    plan = Plan.chain(["a", "b", "c"], [[2, 0], [1]])
    run = RunFolder(tmp_path / "runs" / "small", Experiment(name="small"), plan)
    run.write()
    return run


def test_what_was_begun_can_be_opened(run: RunFolder) -> None:
    again = RunFolder.open(run.path)
    assert again == run
    assert again.plan.class_order == [2, 0, 1]
    assert sorted(path.name for path in run.path.parent.iterdir()) == ["small"]


def test_another_experiment_is_refused_by_field(run: RunFolder) -> None:
    run.check_same_experiment(Experiment(name="other", launcher={"processes": 1}, training={"step_timeout": 9}))
    with pytest.raises(UserError, match=r"exemplars\.budget is 7 here and 524288 there; choose another folder"):
        run.check_same_experiment(Experiment(name="small", exemplars={"budget": 7}))


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the run folder cannot be made: File exists"):
        RunFolder(tmp_path / "file" / "run", Experiment(name="small"), Plan.chain(["a"], [[0]])).write()


def test_status_tells_running_from_interrupted(run: RunFolder) -> None:
    run.stage(1).write_state(StageState("running", attempt=1))
    assert [row["status"] for row in status_rows(run)] == ["interrupted", "waiting"]
    with RunLock(run.path):
        assert [row["status"] for row in status_rows(run)] == ["running", "waiting"]

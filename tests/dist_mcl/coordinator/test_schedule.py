"""A run that goes on goes on with the values that it is given, where they do not change its result."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.coordinator.schedule import finish_run
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder, RunLock

CHANGED = Experiment(
    name="small",
    exemplars={"budget": 0},
    training={"step_timeout": 7, "checkpoint": {"every_steps": 3}},
    launcher={"processes": 1},
)


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run", Experiment(name="small", exemplars={"budget": 0}), Plan.chain([], []))
    run.write()
    return run


def test_workers_see_what_was_changed(begun: RunFolder) -> None:
    finish_run(open_or_begin(begun.path, CHANGED), lambda folder, progress: None)
    assert RunFolder.open(begun.path).experiment == CHANGED


def test_a_refused_command_changes_nothing(begun: RunFolder) -> None:
    with RunLock(begun.path), pytest.raises(UserError):
        finish_run(open_or_begin(begun.path, CHANGED), lambda folder, progress: None)
    assert RunFolder.open(begun.path).experiment == begun.experiment

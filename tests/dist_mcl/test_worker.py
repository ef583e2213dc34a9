"""A stage whose workers a person starts leaves the same word as one that a coordinator looks after."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.files import write_json
from dist_mcl.run_folder import Plan, RunFolder, RunLock, StageState
from dist_mcl.worker import _attempt_by_hand

FAILED = {"rank": 1, "users_mistake": False, "reason": "FloatingPointError: the loss is nan", "time": 1.0}


@pytest.mark.parametrize(
    ("file", "content", "status", "reason"),
    [
        ("error-1.json", FAILED, "failed", "FloatingPointError: the loss is nan"),
        ("yielded.json", {"step": 12, "saved": True, "time": 1.0}, "yielded", "stopped after step 12"),
    ],
)
def test_how_it_ended_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: object, status: str, reason: str
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    run = RunFolder(tmp_path / "small", Experiment(name="small"), Plan.chain(["a"], [[0]]))
    run.write()
    stage = run.stage(1)
    stage.write_state(StageState("submitted", job="17"))
    with _attempt_by_hand(run, stage) as attempt:
        assert RunLock(run.path).is_held()
        assert (stage.state.status, stage.state.job) == ("running", "18")
        write_json(stage.attempt(attempt) / file, content)
    assert (stage.state.status, stage.state.attempt, stage.state.reason) == (status, 1, reason)
    assert not RunLock(run.path).is_held()

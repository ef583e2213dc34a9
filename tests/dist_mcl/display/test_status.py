"""What `mcl status` calls a stage, from the run folder and from what Slurm knows of its job."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import Experiment
from dist_mcl.display.status import Queue, status_rows, watch_status
from dist_mcl.run_folder import Plan, RunFolder, StageState
from stage_launchers.queue import QueuedJob


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "small", Experiment(name="small"), Plan.chain(["a"], [[0]]))
    run.write()
    return run


def queue(state: str) -> Queue:
    return {"17": QueuedJob(17, state, "Priority", "n1", "N/A", "N/A")}


@pytest.mark.parametrize(
    ("recorded", "known", "status", "job"),
    [
        ("submitted", queue("PENDING"), "submitted", "17 pending (Priority)"),
        ("submitted", queue("RUNNING"), "submitted", "17 running"),
        ("submitted", queue("CANCELLED"), "dropped", "17 cancelled"),
        ("submitted", {}, "dropped", "17"),  # Slurm has forgotten it
        ("submitted", None, "submitted", "17"),  # Slurm does not answer
        ("running", queue("RUNNING"), "running", "17 running"),  # another host's coordinator, whose clock differs
        ("running", queue("PENDING"), "submitted", "17 pending (Priority)"),  # pre-empted without a grace time
        ("running", queue("TIMEOUT"), "interrupted", "17 timeout"),
        ("running", {}, "interrupted", "17"),
        ("yielded", queue("PENDING"), "submitted", "17 pending (Priority)"),
        ("yielded", {}, "yielded", "17"),
        ("waiting", queue("PENDING"), "submitted", "17 pending (Priority)"),  # it lost a node
        ("failed", queue("FAILED"), "failed", "17 failed"),
        ("cancelled", queue("RUNNING"), "cancelled", "17 running"),
    ],
)
def test_the_run_folder_and_the_queue_together(
    run: RunFolder, recorded: str, known: Queue | None, status: str, job: str
) -> None:
    run.stage(1).write_state(StageState(recorded, 1, job="17"))  # type: ignore[arg-type]
    (row,) = status_rows(run, known)
    assert (row["status"], row["job"]) == (status, job)


def test_watching_ends_with_the_last_stage_that_goes_on(run: RunFolder) -> None:
    looks = [queue("PENDING"), queue("RUNNING"), queue("FAILED"), queue("FAILED")]
    run.stage(1).write_state(StageState("submitted", job="17"))
    watch_status(lambda: status_rows(run, looks.pop(0)))
    assert len(looks) == 1

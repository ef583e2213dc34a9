"""What an attempt left decides what follows; its exit code does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.coordinator.outcome import Outcome, judge, next_state
from dist_mcl.files import write_json
from dist_mcl.run_folder import STEPS, StageFolder, StageState

GLOO = "RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3721"


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    folder = StageFolder(tmp_path / "01", 1)
    assert folder.new_attempt() == 1
    return folder


def report(folder: StageFolder, rank: int, reason: str, time: float, users_mistake: bool = False) -> None:
    record = {"rank": rank, "users_mistake": users_mistake, "reason": reason, "time": time}
    write_json(folder.attempt(1) / f"error-{rank}.json", record)


def seal(folder: StageFolder) -> None:
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").write_bytes(b"weights")
    for step in STEPS:
        folder.finish(step, {})
    folder.seal()


@pytest.mark.parametrize("code", [0, 1, -9, 85])
def test_a_sealed_stage_is_done_whatever_the_exit_code(folder: StageFolder, code: int) -> None:
    seal(folder)
    assert judge(folder, 1, code) == Outcome("done")


def test_exit_code_0_without_a_seal_is_not_done(folder: StageFolder) -> None:
    assert judge(folder, 1, 0) == Outcome("lost", "a process ended with exit code 0 and no word")


def test_an_attempt_that_saved_asks_to_be_started_again(folder: StageFolder) -> None:
    write_json(folder.attempt(1) / "yielded.json", {"step": 12, "saved": True, "time": 1.0})
    report(folder, 1, GLOO, time=2.0)
    assert judge(folder, 1, 1) == Outcome("yielded", "stopped after step 12")


def test_the_earliest_report_that_is_no_echo_is_the_cause(folder: StageFolder) -> None:
    report(folder, 0, GLOO, time=1.0)
    report(folder, 1, "OSError: [Errno 28] No space left on device", time=2.0)
    assert judge(folder, 1, 1) == Outcome("failed", "OSError: [Errno 28] No space left on device")


def test_echoes_alone_mean_that_a_process_vanished(folder: StageFolder) -> None:
    report(folder, 0, GLOO, time=1.0)
    outcome = judge(folder, 1, 1)
    assert (outcome.kind, "vanished" in str(outcome.reason)) == ("lost", True)


def test_a_signal_is_named(folder: StageFolder) -> None:
    assert judge(folder, 1, -9) == Outcome("lost", "a process was killed by signal 9")


def test_a_launcher_that_gave_up_says_why(folder: StageFolder) -> None:
    why = "srun: error: Unable to create step for job 7: Requested nodes are busy"
    (folder.attempt(1) / "launcher.log").write_text(f"srun: error: before\n{why}\nsrun: bye\n")
    assert judge(folder, 1, 1) == Outcome(
        "lost", f"a process ended with exit code 1 and no word; its launcher says: {why}"
    )


def test_a_users_mistake_stays_one(folder: StageFolder) -> None:
    report(folder, 0, "data.folder: no such folder", time=1.0, users_mistake=True)
    assert judge(folder, 1, 2) == Outcome("mistake", "data.folder: no such folder")


@pytest.mark.parametrize(
    ("kind", "failures", "cancelled", "status", "failures_after"),
    [
        ("done", 0, True, "done", 0),
        ("yielded", 1, False, "yielded", 1),  # to be pre-empted costs no retry
        ("yielded", 0, True, "cancelled", 0),
        ("lost", 0, False, "waiting", 1),
        ("lost", 1, False, "failed", 2),
        ("lost", 0, True, "cancelled", 0),
        ("failed", 0, False, "failed", 1),
        ("mistake", 0, False, "failed", 1),
    ],
)
def test_what_follows(kind: str, failures: int, cancelled: bool, status: str, failures_after: int) -> None:
    before = StageState("running", attempt=3, failures=failures)
    after = next_state(before, Outcome(kind, None), retries=1, is_cancelled=cancelled)  # type: ignore[arg-type]
    assert after == StageState(status, attempt=3, failures=failures_after)  # type: ignore[arg-type]

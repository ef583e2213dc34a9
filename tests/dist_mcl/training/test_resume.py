"""Stopped anywhere and continued, a training ends with the bytes of one that was never disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from .small_runs import EVERY_STEP, committed, finish, pid, start, wait_until

Result = tuple[list[float], dict[str, str]]


@pytest.mark.parametrize(("before", "after", "zero_stage"), [(2, 1, 2), (1, 2, 0)])
def test_killed_and_continued_by_another_number_of_processes(
    alone: Result, tmp_path: Path, before: int, after: int, zero_stage: int
) -> None:
    step = random.randint(1, 8)
    handle = start(tmp_path, before, checkpoint=EVERY_STEP, zero_stage=zero_stage)
    wait_until(lambda: step in committed(tmp_path), handle)
    handle.stop(grace=0)
    (tmp_path / "checkpoint" / "9").mkdir(exist_ok=True)  # as if it was killed while it wrote this one
    left = committed(tmp_path)
    assert 1 <= len(left) <= 3
    assert finish(tmp_path, after, checkpoint=EVERY_STEP, zero_stage=zero_stage) == alone
    assert committed(tmp_path) == [8, 9]


def test_killed_under_a_teacher_and_continued(tmp_path: Path) -> None:
    """The model of the stage before is asked again by the attempt that continues, not the one half trained."""
    options: dict[str, Any] = {"distillation": {"teacher": "previous", "weight": 3}, "sampler": "proportional"}
    undisturbed = finish(tmp_path / "undisturbed", 1, **options)
    folder = tmp_path / "killed"
    handle = start(folder, 1, checkpoint=EVERY_STEP, **options)
    wait_until(lambda: 2 in committed(folder), handle)
    handle.stop(grace=0)
    assert finish(folder, 2, checkpoint=EVERY_STEP, **options) == undisturbed


def test_a_signal_to_one_rank_saves_and_ends_all(alone: Result, tmp_path: Path) -> None:
    handle = start(tmp_path, 2, checkpoint={"every_steps": 3})
    wait_until(lambda: committed(tmp_path) == [3], handle)
    os.kill(pid(tmp_path, 1), signal.SIGUSR1)
    assert handle.wait(timeout=300) == 85
    yielded = json.loads((tmp_path / "yielded.json").read_text())
    assert yielded["saved"] and yielded["step"] == committed(tmp_path)[-1]
    assert finish(tmp_path, 2) == alone


@pytest.mark.slow
def test_the_stop_file_saves_and_ends_all(tmp_path: Path) -> None:
    (tmp_path / "STOP").touch()
    assert start(tmp_path, 2).wait(timeout=300) == 85
    assert committed(tmp_path) == [1]


@pytest.mark.slow
def test_a_second_signal_leaves_no_time_to_save(tmp_path: Path) -> None:
    handle = start(tmp_path, 1, checkpoint={"every_steps": 1, "keep": 100}, epochs=100)
    wait_until(lambda: committed(tmp_path) != [], handle)
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT):  # so both come within one step
        os.kill(pid(tmp_path, 0), number)
    assert handle.wait(timeout=300) == 85
    yielded = json.loads((tmp_path / "yielded.json").read_text())
    assert not yielded["saved"] and yielded["step"] > committed(tmp_path)[-1]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(alone: Result, tmp_path: Path) -> None:
    handle = start(tmp_path, 1, checkpoint={"every_seconds": 1e-3})
    wait_until(lambda: len(committed(tmp_path)) == 2, handle)
    handle.stop(grace=0)
    newest = committed(tmp_path)[-1]
    file = tmp_path / "checkpoint" / str(newest) / "trained.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert finish(tmp_path, 1) == alone
    assert f"checkpoint {newest} is not used: trained.safetensors is damaged" in (tmp_path / "rank-0.log").read_text()


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_step(tmp_path: Path) -> None:
    handle = start(tmp_path, 2, checkpoint=EVERY_STEP, epochs=100, step_timeout=5)
    wait_until(lambda: committed(tmp_path) != [], handle)
    os.kill(pid(tmp_path, 1), signal.SIGSTOP)
    assert handle.wait(timeout=120) == 1
    log = (tmp_path / "rank-0.log").read_text()
    # Where rank 0 waits decides who notices: our own exchange, or the watch over everything else.
    assert "PeerLostError: rank 0 lost another process in a training step" in log or "Timeout (0:00:10)!" in log


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_ranks(tmp_path: Path) -> None:
    handle = start(tmp_path, 2, checkpoint=EVERY_STEP, learning_rate=1e30)
    assert handle.wait(timeout=300) == 1
    logs = "".join((tmp_path / f"rank-{rank}.log").read_text() for rank in range(2))
    assert "FloatingPointError: the loss is nan at step 2; lower training.learning_rate" in logs
    assert committed(tmp_path) == [1]
    for rank in range(2):
        with pytest.raises(ProcessLookupError):
            os.kill(pid(tmp_path, rank), 0)


@pytest.mark.slow
def test_a_full_disk_harms_nothing_that_was_committed(alone: Result, tmp_path: Path) -> None:
    handle = start(tmp_path, 2, checkpoint={"every_steps": 3})
    wait_until(lambda: committed(tmp_path) == [3], handle)
    handle.stop(grace=0)
    size = (tmp_path / "checkpoint" / "3" / "trained.safetensors").stat().st_size
    assert start(tmp_path, 2, size // 2, checkpoint={"every_steps": 2}).wait(timeout=300) == 1
    assert "File too large" in (tmp_path / "rank-0.log").read_text()
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["3"]
    assert finish(tmp_path, 2) == alone


@pytest.mark.slow
def test_the_optimizers_state_may_lie_on_the_cpu(alone: Result, tmp_path: Path) -> None:
    offload = {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}
    handle = start(tmp_path, 2, checkpoint=EVERY_STEP, deepspeed=offload)
    wait_until(lambda: 4 in committed(tmp_path), handle)
    handle.stop(grace=0)
    assert finish(tmp_path, 1, checkpoint=EVERY_STEP, deepspeed=offload) == alone

"""What AdamW has gathered goes on into the next stage, whatever interrupts that and whoever continues it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dist_mcl.training.optimizer_state import MOMENTS, OptimizerState

from .small_runs import TRAINING, committed, finish, pid, start, wait_until

STEPS = 5 * TRAINING["epochs"]
BETAS = {"exp_avg": 0.9, "exp_avg_sq": 0.999}  # of torch's AdamW
EVERY_STEP = {"every_steps": 1, "keep": 100}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first stage that leaves its optimiser's state."""
    folder = tmp_path_factory.mktemp("first") / "run"
    finish(folder, 1, optimizer_state="keep")
    return folder


def after_first_step(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoint" / "1" / "trained.safetensors")


def test_the_moments_go_on_and_new_rows_begin_with_zeros(before: Path, tmp_path: Path) -> None:
    finish(tmp_path / "keep", 1, before, optimizer_state="keep", checkpoint=EVERY_STEP)
    finish(tmp_path / "reset", 1, before, checkpoint=EVERY_STEP)
    kept, reset = (after_first_step(tmp_path / name) for name in ("keep", "reset"))
    old = OptimizerState.load(before / "adapter")
    assert old.steps == STEPS and OptimizerState.load(tmp_path / "keep" / "adapter").steps == 2 * STEPS
    assert not (tmp_path / "reset" / "adapter" / "optimizer.safetensors").exists()
    grown = 0
    for name, value in old.moments.items():
        # m1 = b m0 + (1 - b) g, and the first step's gradient g is the same: what was brought along is the difference.
        difference = kept[name] - reset[name]
        brought = BETAS[name.split(".")[0]] * value
        assert brought.abs().max() > 0
        torch.testing.assert_close(difference[: len(value)], brought, rtol=1e-4, atol=1e-7)
        assert not difference[len(value) :].any()
        grown += len(difference) > len(value)
    assert grown == 2 * len(MOMENTS)  # the head's weight and bias


@pytest.mark.slow
def test_killed_and_continued_by_another_number_of_processes(before: Path, tmp_path: Path) -> None:
    whole = finish(tmp_path / "whole", 1, before, optimizer_state="keep")
    hurt, settings = tmp_path / "hurt", {"optimizer_state": "keep", "checkpoint": EVERY_STEP}
    handle = start(hurt, 2, before=before, zero_stage=2, **settings)
    wait_until(lambda: len(committed(hurt)) >= 3, handle)
    os.kill(pid(hurt, 1), signal.SIGKILL)
    assert handle.wait(60) != 0
    assert 3 <= len(committed(hurt)) < STEPS
    assert finish(hurt, 1, before, zero_stage=0, **settings) == whole
    assert finish(tmp_path / "two", 2, before, zero_stage=1, **settings) == whole


def test_zeros_for_what_is_new() -> None:
    old = OptimizerState(7, {f"{moment}.weight": torch.ones(2, 3) for moment in MOMENTS})
    grown = old.grown(nn.Linear(3, 4))
    assert grown.steps == 7
    assert set(grown.moments) == {f"{moment}.{name}" for moment in MOMENTS for name in ("weight", "bias")}
    for moment in MOMENTS:
        assert torch.equal(grown.moments[f"{moment}.weight"], torch.tensor([[1.0] * 3] * 2 + [[0.0] * 3] * 2))
        assert torch.equal(grown.moments[f"{moment}.bias"], torch.zeros(4))

"""Any number of processes trains the same weights, whatever DeepSpeed shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from .small_runs import finish

Result = tuple[list[float], dict[str, str]]


@pytest.mark.parametrize(
    ("processes", "zero_stage"),
    [(2, 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((3, 2), (4, 1), (2, 0)))],
)
def test_the_same_bytes(alone: Result, tmp_path: Path, processes: int, zero_stage: int) -> None:
    assert finish(tmp_path / "run", processes, zero_stage=zero_stage) == alone


def test_deepspeeds_own_sum_agrees_but_for_rounding(alone: Result, tmp_path: Path) -> None:
    losses, _ = finish(tmp_path / "run", 2, gradient_sum="deepspeed")
    assert losses == pytest.approx(alone[0], rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"distillation": {"teacher": "previous"}, "sampler": "proportional", "bias_correction": "weight_aligning"},
        pytest.param({"distillation": {"teacher": "stored"}}, marks=pytest.mark.slow),
    ],
    ids=["previous", "stored"],
)
def test_other_losses_and_samplers_give_the_same_bytes_too(
    alone: Result, tmp_path: Path, options: dict[str, Any]
) -> None:
    one, three = (finish(tmp_path / f"{count}", count, **options) for count in (1, 3))
    assert one == three
    assert one != alone


@pytest.mark.slow
def test_a_sharded_head_is_aligned_like_a_whole_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {"bias_correction": "weight_aligning", "distillation": {"teacher": "previous"}}
    whole, sharded = tmp_path / "whole", tmp_path / "sharded"
    losses, _ = finish(whole, 2, gradient_sum="deepspeed", **options)
    assert finish(sharded, 2, gradient_sum="deepspeed", zero_stage=3, **options)[0] == pytest.approx(losses, rel=1e-4)
    heads = [load_file(folder / "adapter" / "head.safetensors") for folder in (whole, sharded)]
    for head in heads:
        lengths = head["head.weight"].norm(dim=1)
        assert float(lengths[:2].mean()) == pytest.approx(float(lengths[2]), rel=1e-4)
    for name in ("head.weight", "head.bias"):
        assert torch.allclose(heads[0][name], heads[1][name], rtol=1e-2, atol=1e-3)

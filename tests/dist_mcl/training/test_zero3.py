"""ZeRO stage 3: the frozen backbone is cut up among the ranks, and nothing else changes but for rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import Training
from dist_mcl.training.engine import deepspeed_config
from dist_mcl.training.process_group import join_process_group
from dist_mcl.training.zero3 import shard_while_loading
from stage_launchers import end_process

from .forking import ForkedRanks
from .small_runs import EVERY_STEP, committed, finish, start, wait_until

pytestmark = pytest.mark.slow

Result = tuple[list[float], dict[str, str]]
# Everything is sharded, however small: DeepSpeed leaves parameters of up to 100 000 numbers whole otherwise.
SHARD_ALL = {"stage3_param_persistence_threshold": 0}
ZERO_3 = {"zero_stage": 3, "gradient_sum": "deepspeed", "deepspeed": {"zero_optimization": SHARD_ALL}}
IN_HOST_MEMORY = {"offload_param": {"device": "cpu"}, "offload_optimizer": {"device": "cpu"}}


def test_the_same_training_from_sharded_weights(undisturbed: Path, alone: Result, tmp_path: Path) -> None:
    losses, _ = finish(tmp_path, 2, **ZERO_3)
    assert losses == pytest.approx(alone[0], rel=1e-4)
    for file in (undisturbed / "adapter").glob("*.safetensors"):
        ours, theirs = load_file(tmp_path / "adapter" / file.name), load_file(file)
        for values in (ours, theirs):  # attention is the same with any shift of its keys, so Adam follows the rounding
            for name in [name for name in values if name.endswith("self.key.ssf_shift")]:
                assert values.pop(name).shape == (32,)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    backbone = sum(value.numel() for value in SmallBackbone.tiny().parameters())
    for rank in range(2):
        # Masks, and predictions; one rank has no batch of its own in these passes.
        assert (tmp_path / f"passes-{rank}.json").read_text() == (undisturbed / "passes-0.json").read_text()
        assert json.loads((tmp_path / f"share-{rank}.json").read_text()) == pytest.approx(backbone / 2, rel=0.01)


def load(told: Path) -> None:
    """Shard a tiny backbone, and tell the most of it that lay here in one piece, and what each module has."""
    group = join_process_group(step_timeout=60)
    state, built, at_once = SmallBackbone.tiny().state_dict(), [], [0]

    def build() -> SmallBackbone:
        built.append(SmallBackbone.tiny())
        return built[0]

    def read(name: str) -> torch.Tensor:
        at_once.append(sum(value.numel() for value in built[0].parameters() if not value.is_meta))
        return state[name]

    shard_while_loading(build, read, deepspeed_config(Training(**ZERO_3), group.world_size))
    modules = [sum(value.numel() for value in module.parameters(False)) for module in SmallBackbone.tiny().modules()]
    told.write_text(json.dumps({"at_once": max(at_once), "modules": modules}))
    end_process(0)


def test_no_rank_ever_holds_more_than_one_module(tmp_path: Path) -> None:
    assert ForkedRanks(tmp_path, 1, load, tmp_path / "told").wait(100) == 0, (tmp_path / "rank-0.log").read_text()
    told = json.loads((tmp_path / "told").read_text())
    pooler = 32 * 32 + 32  # it trains, and is sharded later
    assert 0 < told["at_once"] <= max(told["modules"]) + pooler < sum(told["modules"])


def test_in_bf16_with_activations_computed_twice(alone: Result, tmp_path: Path) -> None:
    losses, _ = finish(tmp_path, 2, **ZERO_3, precision="bf16", activation_checkpointing=True)
    # Later steps part: at this learning rate Adam turns small gradients into large steps, whatever their size.
    assert losses[:2] == pytest.approx(alone[0][:2], rel=1e-2)


# With two the three biases of the head do not divide evenly.
@pytest.mark.parametrize(("processes", "offloading"), [(1, {}), (2, {}), (2, IN_HOST_MEMORY)], ids=["1", "2", "host"])
def test_killed_and_continued(processes: int, offloading: dict[str, object], alone: Result, tmp_path: Path) -> None:
    deepspeed = {"zero_optimization": {**SHARD_ALL, **offloading}}
    options: dict[str, Any] = {**ZERO_3, "deepspeed": deepspeed, "checkpoint": EVERY_STEP}
    handle = start(tmp_path, 2, **options)
    wait_until(lambda: 4 in committed(tmp_path), handle)
    handle.stop(grace=0)
    losses, _ = finish(tmp_path, processes, **options)
    assert losses == pytest.approx(alone[0], rel=1e-4)

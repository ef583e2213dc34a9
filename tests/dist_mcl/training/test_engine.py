"""What DeepSpeed is told: the user's own configuration as it is, completed by what the experiment decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dist_mcl import config
from dist_mcl.training.engine import deepspeed_config

GIVEN = {
    "train_batch_size": "auto",
    "steps_per_print": 7,
    "communication_data_type": "fp32",
    "zero_optimization": {
        "stage": 3,
        "offload_param": {"device": "cpu", "pin_memory": False},
        "stage3_max_live_parameters": 1000,
        "reduce_bucket_size": 5000,
    },
    "of_a_later_version": {"nested": [1, None]},
}


@pytest.mark.parametrize("place", ["inline", "file"])
def test_the_users_configuration_arrives_as_it_is(tmp_path: Path, place: str) -> None:
    file, experiment = tmp_path / "deepspeed.json", tmp_path / "experiment.yaml"
    file.write_text(json.dumps(GIVEN))
    experiment.write_text("name: small\ntraining: {zero_stage: 3, gradient_sum: deepspeed}\n")
    given = str(file) if place == "file" else json.dumps(GIVEN)
    training = config.load(experiment, [f"training.deepspeed={given}"]).training
    assert training.deepspeed == GIVEN
    made = deepspeed_config(training, world_size=2)
    assert {name: made[name] for name in GIVEN} == {
        **GIVEN,
        "train_batch_size": 32,
        "zero_optimization": {**GIVEN["zero_optimization"], "stage3_max_reuse_distance": 0},
    }

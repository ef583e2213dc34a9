"""Wrong sites, roles and parents are refused before anything trains, on every backbone that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dist_mcl.coordinator.start import open_or_plan
from dist_mcl.errors import UserError
from dist_mcl.training.load_language import language_backbone_without_weights
from dist_mcl.training.rehearsal import rehearse

from .modality_runs import FULL, LORA, SITES, experiment, write_data

ANA = {"kind": "adapter_in_adapter", "rank": 2, "sites": SITES}
CONNECTOR, DECODER = SITES


def adapter_with(**changes: Any) -> dict[str, Any]:
    """Adapter-in-adapter whose second group of sites is another one."""
    return {**ANA, "sites": [CONNECTOR, {**DECODER, **changes}]}


@pytest.mark.parametrize(
    ("adapter", "complaint"),
    [
        (adapter_with(count=60), "4 linear layers of the decoder end in q_proj, v_proj, and count says 60"),
        (adapter_with(role="decodr"), "role 'decodr': this backbone has connector, decoder; choose one"),
        (adapter_with(suffixes=["q_prj"]), "none in q_prj"),
        ({**ANA, "sites": [*SITES, CONNECTOR]}, "connector.linear_1 is in two groups; leave it in one"),
        ({**LORA, "sites": [{**DECODER, "count": 5}]}, "and count says 5"),
        ({**FULL, "roles": ["qformer"]}, "model.adapter.roles: 'qformer': this backbone has connector, decoder"),
    ],
)
def test_what_is_not_in_the_backbone_is_refused_before_anything_is_written(
    tmp_path: Path, adapter: dict[str, Any], complaint: str
) -> None:
    write_data(tmp_path / "data")
    with pytest.raises(UserError) as refused:
        open_or_plan(tmp_path / "run", experiment(tmp_path / "data", adapter))
    assert complaint in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("adapter", [ANA, {**ANA, "sites": []}, LORA, FULL, {"kind": "none"}], ids=str)
@pytest.mark.parametrize("joint", [False, True], ids=["in turn", "at once"])
def test_what_is_there_is_found_for_all_stages(tmp_path: Path, adapter: dict[str, Any], joint: bool) -> None:
    if not (joint and adapter["kind"] == "adapter_in_adapter"):
        rehearse(experiment(tmp_path, adapter, scenario={"joint": joint}))


def test_a_rehearsal_has_no_weights_and_makes_no_encoder(tmp_path: Path) -> None:
    config = experiment(tmp_path, ANA)
    sensor = config.scenario.stages[-1]
    encoder = {"kind": "custom", "path": str(tmp_path / "not_written.py:Encoder")}
    stage = {**sensor.model_dump(), "encoder": encoder}
    stages = [*config.scenario.model_dump()["stages"][:-1], stage]
    custom = experiment(tmp_path, ANA, scenario={"stages": stages})
    backbone = language_backbone_without_weights(custom)
    assert {value.device for value in backbone.parameters()} == {torch.device("meta")}
    rehearse(custom)

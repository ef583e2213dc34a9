"""A whole run whose backbone is sharded: every pass of a stage works in step on all ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.run_folder import RunFolder
from exemplar_store import verify

from .conftest import finish

pytestmark = pytest.mark.xdist_group("runs")
ZERO_3 = {
    "training__zero_stage": "3",
    "training__gradient_sum": "deepspeed",
    "training__deepspeed": "{zero_optimization: {stage3_param_persistence_threshold: 0}}",
}


@pytest.mark.slow
def test_a_run_with_a_sharded_backbone_learns_and_remembers(finished_run: Path, tmp_path: Path) -> None:
    finish(tmp_path / "run", **ZERO_3)
    whole, sharded = RunFolder.open(finished_run), RunFolder.open(tmp_path / "run")
    first = [run.stage(1).record("train") for run in (whole, sharded)]
    assert first[0] is not None and first[1] is not None
    assert first[1]["loss"] == pytest.approx(first[0]["loss"], rel=1e-4)
    assert first[1]["trainable_parameters"] == first[0]["trainable_parameters"]
    for one, other in zip(whole.stages(), sharded.stages(), strict=True):
        files = [{file.name: file.stat().st_size for file in stage.adapter.iterdir()} for stage in (one, other)]
        assert files[0] == files[1]
        memory = other.record("memorise")
        assert memory is not None and memory["exemplars"] > 0
    assert verify(sharded.store, full=True).problems == []


@pytest.mark.slow
def test_the_pretrained_backbone_sharded_learns_as_it_does_whole(tmp_path: Path) -> None:
    settings = {
        "model__backbone": "small",
        "data__max_per_class": "1",
        "scenario__stages": "1",
        "training__learning_rate": "0.002",
    }
    finish(tmp_path / "whole", **settings)
    finish(tmp_path / "sharded", **settings, **ZERO_3)
    whole, sharded = (RunFolder.open(tmp_path / name).stages() for name in ("whole", "sharded"))
    for one, other in zip(whole, sharded, strict=True):
        records = [stage.record("train") for stage in (one, other)]
        assert records[0] is not None and records[1] is not None
        assert records[1]["loss"] == pytest.approx(records[0]["loss"], rel=1e-2)
        memory = other.record("memorise")
        assert memory is not None and memory["exemplars"] > 0

"""The baselines of modality-incremental learning, as settings of whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dist_mcl.report import modality_scores, modality_table

from .modality_runs import FULL, LORA, ORDER, digests, experiment, finish, losses, write_data

BASELINES: dict[str, dict[str, Any]] = {
    "full": {"adapter": FULL},
    "lora": {"adapter": LORA},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.mark.parametrize("name", BASELINES)
def test_one_process_and_two_train_the_same(data: Path, tmp_path: Path, name: str) -> None:
    config = experiment(data, **BASELINES[name])
    one, two = finish(tmp_path / "one", config), finish(tmp_path / "two", config, processes=2)
    assert losses(one) == losses(two)
    for alone, shared in zip(one.stages(), two.stages(), strict=True):
        assert digests(alone) == digests(shared)
        assert alone.record("evaluate")["scores"] == shared.record("evaluate")["scores"]
    found = modality_scores(one)
    assert found.order == ORDER and set(found.scores["sensor"]) == set(ORDER)
    assert found.forgetting("sensor") is not None
    assert modality_table(found).row_count == 5


def test_joint_training_learns_all_modalities_in_one_stage(data: Path, tmp_path: Path) -> None:
    config = experiment(data, FULL, scenario={"joint": True})
    run = finish(tmp_path / "one", config)
    (stage,) = run.stages()
    assert (stage.record("train") or {})["fresh_samples"] == 24
    found = modality_scores(run)
    assert found.is_joint and [found.forgetting(name) for name in found.order] == [None] * 3
    assert set(found.scores["sensor"]) == set(ORDER)
    assert len(modality_table(found).columns) == 3
    assert digests(stage) == digests(finish(tmp_path / "two", config, processes=2).stage(1))

"""The baselines of modality-incremental learning, as settings of whole runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dist_mcl.config import Experiment
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.report import ModalityReport, collect, summary_table
from dist_mcl.run_folder import RunFolder
from exemplar_store import StoreReader

from .modality_runs import FULL, LORA, ORDER, begin_stage, digests, experiment, finish, losses, write_data
from .small_runs import committed, wait_until

_EWC = {"kind": "ewc", "weight": 100, "decay": 0.5, "samples": 5}
BASELINES: dict[str, dict[str, Any]] = {
    "full": {"adapter": FULL},
    "lora": {"adapter": LORA},
    "ewc": {"adapter": FULL, "training": {"consolidation": _EWC}},
    "l2-lwf": {"adapter": LORA, "training": {"consolidation": "l2", "distillation": {"teacher": "previous"}}},
    "replay": {"adapter": LORA, "exemplars": {"budget": "9kB", "image_codec": "webp"}},
}
Alone = Callable[[str], RunFolder]


def report(run: RunFolder) -> ModalityReport:
    found = collect(run)
    assert isinstance(found, ModalityReport)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def configs(data: Path) -> dict[str, Experiment]:
    return {name: experiment(data, **sections) for name, sections in BASELINES.items()}


@pytest.fixture(scope="module")
def alone(configs: dict[str, Experiment], tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """The run of a baseline in one process that was never disturbed."""
    root = tmp_path_factory.mktemp("alone")
    return lambda name: finish(root / name, configs[name])


@pytest.mark.parametrize("name", BASELINES)
def test_one_process_and_two_train_the_same(
    alone: Alone, configs: dict[str, Experiment], tmp_path: Path, name: str
) -> None:
    one, two = alone(name), finish(tmp_path / "two", configs[name], processes=2)
    assert losses(one) == losses(two)
    for single, both in zip(one.stages(), two.stages(), strict=True):
        assert digests(single) == digests(both)
        assert (single.record("memorise") or {}).get("digest") == (both.record("memorise") or {}).get("digest")
        assert (single.record("evaluate") or {})["scores"] == (both.record("evaluate") or {})["scores"]
    found = report(one).scores
    assert found.order == ORDER and set(found.scores["sensor"]) == set(ORDER)
    assert found.forgetting("sensor") is not None


@pytest.mark.parametrize("name", ["ewc", "l2-lwf", "replay"])
def test_killed_and_continued_it_ends_with_the_same_bytes(
    alone: Alone, configs: dict[str, Experiment], tmp_path: Path, name: str
) -> None:
    """Anchors, importance, teacher and exemplars are those of the stage before, not of the one half trained."""
    undisturbed = alone(name)
    checkpoint = configs[name].training.checkpoint.model_copy(update={"every_steps": 1})
    training = configs[name].training.model_copy(update={"checkpoint": checkpoint})
    run = open_or_begin(tmp_path / "run", configs[name].model_copy(update={"training": training}))
    assert begin_stage(run, 1, 1).wait(timeout=400) == 0
    handle = begin_stage(run, 2, 1)
    wait_until(lambda: bool(committed(run.stage(2).path)), handle)
    handle.stop(grace=0)
    again = finish(run.path, run.experiment, processes=2)
    assert [digests(stage) for stage in again.stages()] == [digests(stage) for stage in undisturbed.stages()]
    kept = [[(stage.record("memorise") or {}).get("digest") for stage in run.stages()] for run in (again, undisturbed)]
    assert kept[0] == kept[1]


def test_ewc_moves_less_where_it_matters(alone: Alone) -> None:
    importance = load_file(alone("ewc").stage(1).adapter / "fisher.safetensors")

    def moved(run: RunFolder) -> float:
        first, second = (load_file(run.stage(number).adapter / "trained.safetensors") for number in (1, 2))
        return sum(float((its * (second[name] - first[name]) ** 2).sum()) for name, its in importance.items())

    firsts = [digests(alone(name).stage(1))["trained.safetensors"] for name in ("full", "ewc")]
    assert firsts[0] == firsts[1]
    assert moved(alone("ewc")) < 0.5 * moved(alone("full"))


def test_masked_exemplars_of_earlier_modalities_are_replayed_within_their_bytes(alone: Alone) -> None:
    run = alone("replay")
    replayed = [(stage.record("train") or {})["exemplars"] for stage in run.stages()]
    kept = [(stage.record("memorise") or {}) for stage in run.stages()]
    assert replayed == [0, *(its["exemplars"] for its in kept[:-1])] and replayed[1] > 0
    on_disk = sum(path.stat().st_size for path in run.store.rglob("*") if path.is_file() and path.name != "lock")
    assert kept[-1]["bytes"] <= 9000 and on_disk <= 9000
    with closing(StoreReader(run.store)) as reader:
        exemplars = list(reader.read_all())
    assert {one.label for one in exemplars} == {0, 1, 2}
    assert {(one.target.question, one.target.answer) for one in exemplars} == {("Much?", "no"), ("Much?", "yes")}
    assert any(len(tokens) < math.prod(tokens.grid) for one in exemplars for tokens in one.tokens.values())
    assert sum(record.exemplars for record in report(run).modalities) == len(exemplars)
    assert summary_table(report(run))


def test_joint_training_learns_all_modalities_in_one_stage(data: Path, tmp_path: Path) -> None:
    config = experiment(data, FULL, scenario={"joint": True})
    run = finish(tmp_path / "one", config)
    (stage,) = run.stages()
    assert (stage.record("train") or {})["fresh_samples"] == 24
    found = report(run)
    assert found.scores.is_joint and [found.scores.forgetting(name) for name in ORDER] == [None] * 3
    assert set(found.scores.scores["sensor"]) == set(ORDER)
    assert [(record.learned, record.tested) for record in found.modalities] == [(8, 2)] * 3
    assert digests(stage) == digests(finish(tmp_path / "two", config, processes=2).stage(1))

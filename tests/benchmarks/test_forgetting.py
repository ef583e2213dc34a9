"""Five modalities of the real sample, learned one after the other: what a stage leaves as it was, to the bit."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from dist_mcl.adapter_config import AdapterInAdapter, ModalityAdapter, NoAdapter
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.questions.stages import StageQuestions, modality_stages
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer

from ..dist_mcl.backbones.causal_samples import tiny

ROOT = Path(__file__).parents[2]
FIVE = {"image": "shapes", "video": "shapes", "audio": "notes", "depth": "shapes", "point_cloud": "shapes"}
SITES = (
    {"role": "connector", "suffixes": ("linear_1", "linear_2"), "count": 2},
    {"role": "decoder", "suffixes": ("q_proj", "v_proj"), "count": 4},
)
ADAPTER = AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 4, "sites": SITES})
STEPS, ASKED = 3, 2


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "forgetting.py"))


@pytest.fixture(scope="module")
def compare(program: dict[str, Any]) -> Any:
    return program["compare"]


@pytest.fixture(scope="module")
def stages() -> list[StageQuestions]:
    def data(name: str) -> dict[str, object]:
        return {"dataset": name, "folder": ROOT / "tests" / "data" / name, "max_questions": 4}

    short = {"audio": {"tokens": {"kind": "audio", "seconds": 0.2}}}
    entries = [{"modality": modality, "data": data(name), **short.get(modality, {})} for modality, name in FIVE.items()]
    return modality_stages(ModalityIncremental.model_validate({"kind": "modality_incremental", "stages": entries}))


def learn(
    stages: Sequence[StageQuestions],
    adapter: ModalityAdapter,
    root: Path,
    new: Callable[[], Answerer] = lambda: Answerer(tiny()),
) -> dict[str, Path]:
    """A folder of each modality, after a few steps on its training questions."""
    model = new()
    for stage in stages:
        model.begin([stage.modality], adapter, seed=stage.number)
        optimizer = torch.optim.AdamW(model.trainable(), lr=0.05)
        model.train()
        for _ in range(STEPS):
            found = model(Batch.collate([stage.train.sample(index, stage.number) for index in range(ASKED)]))
            optimizer.zero_grad()
            (found.surprise.sum() / found.counts.sum()).backward()
            optimizer.step()
        model.save(root / stage.modality)
    return {stage.modality: root / stage.modality for stage in stages}


def asked(stages: Sequence[StageQuestions]) -> dict[str, list[Sample]]:
    tests = {stage.modality: next(iter(stage.tests.values())) for stage in stages}
    return {name: [questions.sample(index, 1) for index in range(ASKED)] for name, questions in tests.items()}


class Mixing(Answerer):
    """Says something else of a sample when others are in its batch."""

    def forward(self, batch: Batch) -> Any:
        found = super().forward(batch)
        return found._replace(surprise=found.surprise * (1 + 0.05 * (len(found.surprise) > ASKED)))


def test_five_stages_forget_nothing_and_do_not_mind_each_other(
    program: dict[str, Any], stages: list[StageQuestions], tmp_path: Path
) -> None:
    rows = program["compare"](lambda: Answerer(tiny()), learn(stages, ADAPTER, tmp_path), asked(stages))
    assert [(row.modality, row.questions, row.differs_after) for row in rows] == [(name, ASKED, []) for name in FIVE]
    assert program["forgets_nothing"](rows)
    rows = program["compare"](lambda: Mixing(tiny()), {"image": tmp_path / "image"}, asked(stages[:1]))
    assert program["forgets_nothing"](rows)  # one modality is a batch by itself
    rows = program["compare"](lambda: Mixing(tiny()), {n: tmp_path / n for n in FIVE}, asked(stages))
    assert not any(row.differs_after for row in rows) and all(0.04 < row.mixed < 0.06 for row in rows)
    assert not program["forgets_nothing"](rows)


@pytest.mark.parametrize(
    ("mixed", "differs_after", "passes"),
    [(5e-5, [], True), (5e-3, [], False), (float("nan"), [], False), (0.0, ["video"], False)],
)
def test_more_than_rounding_is_a_failure(
    program: dict[str, Any], mixed: float, differs_after: list[str], passes: bool
) -> None:
    row = program["Row"]("image", ASKED, 1.0, differs_after, mixed)
    assert program["forgets_nothing"]([row]) is passes


def test_a_run_in_bf16_is_mixed_in_fp32(program: dict[str, Any], stages: list[StageQuestions], tmp_path: Path) -> None:
    def halved() -> Answerer:
        return Answerer(tiny().use_bf16())

    rows = program["compare"](halved, learn(stages, ADAPTER, tmp_path, halved), asked(stages))
    assert program["forgets_nothing"](rows)


def test_without_adapters_every_stage_is_seen_to_change_those_before(
    compare: Any, stages: list[StageQuestions], tmp_path: Path
) -> None:
    two = stages[:2]
    rows = compare(lambda: Answerer(tiny()), learn(two, NoAdapter(kind="none"), tmp_path), asked(two))
    assert [row.differs_after for row in rows] == [["video"], []]

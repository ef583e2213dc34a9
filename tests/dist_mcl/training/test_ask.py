"""Questions of one batch that are answered in different manners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dist_mcl.answer_config import Generation
from dist_mcl.config import Evaluation
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.ask import ask
from dist_mcl.training.process_group import ProcessGroup

from ..backbones.causal_samples import one_of_each, tiny


class Alone(ProcessGroup):
    """No process group of torch is needed where there is nobody to ask."""

    def gather(self, value: Any) -> list[Any]:
        return [value]


LONG = Generation(beams=2, max_tokens=5, min_tokens=5)


@pytest.fixture(scope="module")
def model() -> Answerer:
    return Answerer(tiny()).eval()


def asked(model: Answerer, samples: list[Sample], how: Evaluation) -> list[str]:
    return ask(model, samples, how, Alone(0, 1, torch.device("cpu")), ProgressFile(None))


def with_question(sample: Sample, **fields: object) -> Sample:
    return replace(sample, target=replace(sample.target, **fields))  # type: ignore[type-var, arg-type]


def test_each_question_is_answered_in_its_own_manner(model: Answerer) -> None:
    image, video, audio, *_ = one_of_each(3)
    choosing = with_question(video, answers=("no",), candidates=("yes", "no"))
    how = Evaluation(generation=Generation(max_tokens=2, min_tokens=2))
    found = asked(model, [image, choosing, with_question(audio, generation=LONG)], how)
    ranked = model.backbone.rank(Batch.collate([choosing]), [("yes", "no")])[0]
    assert found == [
        *model.backbone.generate(Batch.collate([image]), how.generation),
        ("yes", "no")[int(ranked.argmin())],
        *model.backbone.generate(Batch.collate([audio]), LONG),
    ]
    assert found[2] != model.backbone.generate(Batch.collate([audio]), how.generation)[0]


def test_candidates_may_be_named_in_free_answers(model: Answerer, monkeypatch: pytest.MonkeyPatch) -> None:
    image, video, *_ = one_of_each(4)
    choosing = with_question(
        image, answers=("a no",), candidates=("a yes", "a no"), names=("yes", "no"), generation=LONG
    )
    manners = []

    def says(batch: Batch, how: Generation) -> list[str]:
        manners.append(how)
        return ["I say no."] * len(batch)

    monkeypatch.setattr(model.backbone, "generate", says)
    how = Evaluation(candidates="generate")
    assert asked(model, [choosing, video], how) == ["a no", "I say no."]
    assert manners == [LONG, how.generation]

"""What holds shared weights to what they were, and answers to what they would have been; computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dist_mcl.adapter_config import FullFineTuning
from dist_mcl.errors import UserError
from dist_mcl.exemplars import Fresh
from dist_mcl.retention_config import Consolidation, Distillation
from dist_mcl.tokens import Batch
from dist_mcl.training.answer_loss import AnswerLoss, PreviousAnswers
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.consolidation import find_anchor, importance_after, load_importance, save_importance
from dist_mcl.training.learner import Pool
from dist_mcl.training.process_group import ProcessGroup

from ..backbones.causal_samples import one_of_each, tiny

IMAGE, VIDEO, *_ = one_of_each()
FULL = FullFineTuning(kind="full")
EWC = Consolidation(kind="ewc", weight=3)
ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def begun(*modalities: str) -> Answerer:
    """A model that has learned all but the last of these, which it is learning; nothing of it was trained."""
    model = Answerer(tiny())
    for modality in modalities:
        model.begin([modality], FULL, seed=1)
    return model


def move(model: Answerer, by: float) -> None:
    with torch.no_grad():
        for parameter in model.shared().values():
            parameter += by


def test_l2_is_half_the_squared_distance_of_what_is_shared() -> None:
    model = begun("image", "video")
    anchor = find_anchor(model, Consolidation(kind="l2", weight=3), {})
    assert anchor is not None and anchor().item() == 0
    with torch.no_grad():
        model.backbone.get_parameter("entries.video.norm.weight").add_(1)  # its own, not shared
    assert anchor().item() == 0
    move(model, 0.5)
    size = sum(parameter.numel() for parameter in model.shared().values())
    assert anchor().item() == pytest.approx(3 / 2 * size * 0.25, rel=1e-5)


def test_importance_is_the_mean_squared_slope_of_each_answers_likelihood() -> None:
    model = begun("image")
    found = importance_after(model, [IMAGE, IMAGE, VIDEO], EWC, {}, ALONE)
    assert found.keys() == model.shared().keys() and not any(name.startswith("entries") for name in found)
    weight = model.backbone.get_parameter("connector.linear_2.weight")
    squares = []
    for sample in (IMAGE, IMAGE, VIDEO):
        (slope,) = torch.autograd.grad(model(Batch.collate([sample])).surprise.sum(), [weight])
        squares.append(slope**2)
    torch.testing.assert_close(found["connector.linear_2.weight"], torch.stack(squares).mean(0))


def test_importance_adds_up_over_the_stages_and_fades() -> None:
    model = begun("image")
    once = importance_after(model, [IMAGE], EWC, {}, ALONE)
    fading = EWC.model_copy(update={"decay": 0.25})
    twice = importance_after(model, [IMAGE], fading, {**once, "gone": torch.ones(2)}, ALONE)
    torch.testing.assert_close(twice["connector.linear_1.bias"], 1.25 * once["connector.linear_1.bias"])
    assert twice["gone"].tolist() == [0.25, 0.25]


def test_of_many_samples_some_are_asked_evenly_spaced() -> None:
    model = begun("image")
    config = Consolidation(kind="ewc", samples=2)
    some = importance_after(model, [IMAGE, VIDEO, IMAGE, VIDEO], config, {}, ALONE)
    both = importance_after(model, [IMAGE, IMAGE], config, {}, ALONE)
    assert torch.equal(some["connector.linear_1.bias"], both["connector.linear_1.bias"])


def test_ewc_holds_what_mattered_and_lets_go_of_the_rest(tmp_path: Path) -> None:
    model = begun("image", "video")
    name = "connector.linear_1.bias"
    importance = torch.zeros_like(model.shared()[name])
    importance[0] = 2
    save_importance({name: importance}, tmp_path)
    anchor = find_anchor(model, EWC, load_importance(tmp_path))
    assert anchor is not None
    move(model, 0.1)
    assert anchor().item() == pytest.approx(3 / 2 * 2 * 0.01, rel=1e-5)
    (slope,) = torch.autograd.grad(anchor(), [model.shared()[name]])
    assert float(slope[0]) == pytest.approx(3 * 2 * 0.1, rel=1e-5) and not slope[1:].any()


def test_nothing_is_held_where_nothing_mattered_and_missing_importance_is_named(tmp_path: Path) -> None:
    model = begun("image", "video")
    assert find_anchor(model, EWC, {}) is None and find_anchor(model, Consolidation(), {}) is None
    with pytest.raises(UserError, match=r"fisher\.safetensors: cannot be read"):
        load_importance(tmp_path)


def test_a_model_that_answers_as_before_has_nothing_to_learn_from_its_teacher() -> None:
    model = begun("image", "video")
    teacher = PreviousAnswers.of(model, Distillation(teacher="previous", weight=2))
    batch = Batch.collate([VIDEO])
    assert teacher(batch, model(batch).logits).item() == pytest.approx(0, abs=1e-6)
    move(model, 0.1)
    assert teacher(batch, model(batch).logits).item() > 0.01


def test_the_teachers_loss_is_the_divergence_of_the_words_at_a_temperature() -> None:
    model = begun("image", "video")
    batch = Batch.collate([VIDEO, IMAGE])
    before = model(batch).logits.detach()
    teacher = PreviousAnswers.of(model, Distillation(teacher="previous", weight=2, temperature=3))
    move(model, 0.1)
    found = model(batch)
    was, is_now = (before / 3).softmax(1), (found.logits / 3).log_softmax(1)
    expected = 2 * 9 * (was * (was.log() - is_now)).sum(1).mean()
    torch.testing.assert_close(teacher(batch, found.logits), expected)
    loss = AnswerLoss(Pool([VIDEO, IMAGE], [], []), torch.device("cpu"), teacher)(model, [Fresh(0), Fresh(1)])
    torch.testing.assert_close(loss, found.surprise.sum() / found.counts.sum() + expected)
    loss.backward()
    assert all(parameter.grad is not None for name, parameter in model.shared().items() if "connector" in name)

"""What the student is taught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from dist_mcl.backbones import SmallBackbone
from dist_mcl.backbones.pretraining.objective import Heads, Targets
from dist_mcl.backbones.pretraining.stream import Lesson, Stream
from dist_mcl.backbones.pretraining.teachers import Reduction
from dist_mcl.backbones.pretraining.things import Things
from dist_mcl.backbones.pretraining.train import Schedule, Student, pretrain, save_backbone
from dist_mcl.backbones.small import MINILM_PART

COLOURS = {"red round": (220, 20, 20), "green leaf of a tree": (20, 200, 40), "blue sea": (20, 40, 220)}


class HashTeacher:
    """Stands for the sentence teacher: a fixed random vector for each word, no model."""

    def ids(self, text: str) -> list[int]:
        return [1000 + sum(map(ord, word)) for word in text.split()]

    def __call__(self, texts: Sequence[Sequence[int]]) -> Tensor:
        rows = [
            torch.stack([torch.randn(32, generator=torch.Generator().manual_seed(i)) for i in text]) for text in texts
        ]
        return torch.nn.functional.normalize(torch.stack([row.mean(0) for row in rows]), dim=1)

    embed_all = __call__


@pytest.fixture
def things() -> Things:
    drawings = np.full((3, 96, 96, 4), 255, np.uint8)
    drawings[..., :3] = np.array(list(COLOURS.values()), np.uint8)[:, None, None]
    features = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    return Things(drawings, list(COLOURS), np.array([1.0, 1.0, 2.0]), features)


def stream(things: Things, batch_size: int = 64, rank: int = 0) -> Stream:
    photographs = [Image.new("RGB", (300, 300), "grey")]
    return Stream(things, photographs, things.features, HashTeacher(), batch_size, seed=3, rank=rank)  # type: ignore[arg-type]


def test_a_lesson_says_what_its_samples_have(things: Things) -> None:
    (lesson,) = stream(things).lessons(1)
    targets, batch = lesson.targets, lesson.batch
    for name, has in (("image", targets.has_picture), ("text", targets.has_text)):
        assert torch.equal(torch.bincount(batch.tokens[name].sample, minlength=64) > 0, has)
    assert (targets.own_text <= (targets.has_picture & targets.has_text)).all()
    kinds = {
        "own": targets.own_text,
        "other": targets.has_picture & targets.has_text & ~targets.own_text,
        "picture": targets.has_picture & ~targets.has_text,
        "text": ~targets.has_picture,
    }
    assert all(kind.sum() >= 3 for kind in kinds.values())
    torch.testing.assert_close(targets.sentence[targets.has_text].norm(dim=1), torch.ones(int(targets.has_text.sum())))
    assert not targets.sentence[~targets.has_text].any()


def test_lessons_repeat_and_ranks_differ(things: Things) -> None:
    first, again, other = (list(stream(things, 8, rank).lessons(2))[1].batch for rank in (0, 0, 1))
    assert torch.equal(first.tokens["image"].values, again.tokens["image"].values)
    assert first.tokens["image"].values.shape != other.tokens["image"].values.shape or not torch.equal(
        first.tokens["image"].values, other.tokens["image"].values
    )
    assert torch.equal(stream(things, 8, 0).sample_patches(), stream(things, 8, 1).sample_patches())


def test_reduced_features_have_unit_mean_square_and_decorrelate() -> None:
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(1))
    features = torch.randn(500, 12, generator=torch.Generator().manual_seed(2)) @ mixing + 3
    reduced = Reduction.fit(features, 5)(features)
    assert reduced.shape == (500, 5)
    assert reduced.square().sum(1).mean() == pytest.approx(1, abs=1e-4)
    covariance = reduced.T @ reduced / 500
    torch.testing.assert_close(covariance, covariance.diag().diag(), atol=1e-4, rtol=0)
    assert (covariance.diag().diff() <= 0).all(), "strongest first"


def test_perfect_predictions_cost_nothing_and_the_mean_costs_one() -> None:
    heads = Heads(hidden=4, picture=4, sentence=4)
    for head in (heads.picture, heads.patches, heads.sentence, heads.meaning):
        torch.nn.init.eye_(head.weight)
        torch.nn.init.zeros_(head.bias)
    unit = torch.eye(4)
    yes, no = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    heads.requires_grad_(False)
    right = heads(unit, unit, Targets(unit, unit, unit, yes, yes, no))
    assert right["picture"] == right["patches"] == 0
    assert right["sentence"] == pytest.approx(0, abs=1e-6)
    assert right["meaning"] < 1e-4
    mean = heads(torch.zeros(4, 4), torch.zeros(4, 4), Targets(unit, unit, unit, yes, yes, no))
    assert mean["picture"] == mean["patches"] == 1
    assert mean["meaning"] == pytest.approx(np.log(4), abs=1e-4)


def test_equal_descriptions_are_equally_right() -> None:
    heads = Heads(hidden=2, picture=2, sentence=2)
    torch.nn.init.eye_(heads.meaning.weight)
    torch.nn.init.zeros_(heads.meaning.bias)
    heads.requires_grad_(False)
    same = torch.tensor([[1.0, 0], [1, 0]])
    yes, no = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    assert heads(same, same, Targets(same, same, same, yes, yes, no))["meaning"] == pytest.approx(np.log(2))


def test_the_student_learns_and_its_weights_are_kept(things: Things, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Student(SmallBackbone.tiny(), Heads(hidden=32, picture=20, sentence=32))
    student.backbone.patch_encoder.requires_grad_(False)
    schedule = Schedule(steps=40, encoder=3e-3, new=1e-2, warmup=4)
    reduced = Things(things.drawings, things.words, things.weights, Reduction.fit(things.features, 20)(things.features))
    losses = list(pretrain(student, stream(reduced, 16).lessons(40), schedule, world_size=1))
    for name in ("picture", "patches", "sentence"):
        assert np.mean([step[name] for step in losses[-5:]]) < 0.6 * losses[0][name]

    save_backbone(student.backbone, tmp_path / "weights.safetensors")
    saved = load_file(tmp_path / "weights.safetensors")
    expected = {name for name in student.backbone.state_dict() if not name.startswith(MINILM_PART)}
    assert set(saved) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_pictures_without_text_and_texts_without_picture_are_one_batch(things: Things) -> None:
    (lesson,) = stream(things, 16).lessons(1)
    assert isinstance(lesson, Lesson)
    found = Student(SmallBackbone.tiny(), Heads(32, 20, 32)).losses(lesson)
    assert all(torch.isfinite(value) for value in found.values())

"""Modalities learned in turn: what trains, what stays, what is saved."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.causal_config import Generation
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer

from ..backbones.causal_samples import one_of_each, tiny

SITES = (
    {"role": "connector", "suffixes": ("linear_1", "linear_2"), "count": 2},
    {"role": "decoder", "suffixes": ("q_proj", "v_proj"), "count": 4},
)
ADAPTER = AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 4, "sites": SITES})
IMAGE, VIDEO, AUDIO, _, POINTS = one_of_each()


def digest(tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(
        b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors.items())
    ).hexdigest()


def frozen(model: Answerer) -> str:
    return digest({name: value.detach() for name, value in model.named_parameters() if not value.requires_grad})


def learn(model: Answerer, sample: Sample, steps: int = 3) -> None:
    """A few steps; everything that trains must move, and nothing else may."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.trainable(), lr=0.05)
    model.train()
    for _ in range(steps):
        sums, counts = model(Batch.collate([sample]))
        optimizer.zero_grad()
        (sums.sum() / counts.sum()).backward()
        optimizer.step()
    model.eval()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved <= {name for name, value in model.named_parameters() if value.requires_grad}
    assert moved


def losses(model: Answerer, samples: list[Sample]) -> Tensor:
    with torch.no_grad():
        return model(Batch.collate(samples))[0]


def learned(adapter: AdapterInAdapter | None, folder: Path) -> tuple[Answerer, Tensor]:
    """A model that learned image and then video, and what it made of the image before that."""
    model = Answerer(tiny())
    model.begin("image", adapter, seed=1)
    learn(model, IMAGE)
    model.save(folder / "image")
    after_own_stage = losses(model, [IMAGE])
    model.begin("video", adapter, seed=2)
    learn(model, VIDEO)
    model.save(folder / "video")
    return model, after_own_stage


def test_adapters_leave_what_was_learned_as_it_was_bit_for_bit(tmp_path: Path) -> None:
    model, after_own_stage = learned(ADAPTER, tmp_path)
    assert torch.equal(losses(model, [IMAGE]), after_own_stage)
    video = losses(model, [VIDEO])
    model.begin("audio", ADAPTER, seed=3)
    learn(model, AUDIO)
    assert torch.equal(losses(model, [IMAGE]), after_own_stage) and torch.equal(losses(model, [VIDEO]), video)
    mixed = losses(model, [AUDIO, IMAGE, VIDEO])
    apart = torch.cat([losses(model, [sample]) for sample in (AUDIO, IMAGE, VIDEO)])
    torch.testing.assert_close(mixed, apart, atol=1e-4, rtol=1e-5)


def test_without_adapters_it_forgets(tmp_path: Path) -> None:
    model, after_own_stage = learned(None, tmp_path)
    assert not torch.allclose(losses(model, [IMAGE]), after_own_stage, atol=0.01)


@pytest.mark.parametrize("adapter", [ADAPTER, None], ids=["adapters", "none"])
def test_saved_folders_bring_back_every_modality(tmp_path: Path, adapter: AdapterInAdapter | None) -> None:
    model, _ = learned(adapter, tmp_path)
    again = Answerer(tiny())
    for name in ("image", "video"):
        again.load(name, tmp_path / name)
    assert torch.equal(losses(again, [IMAGE]), losses(model, [IMAGE]))
    assert torch.equal(losses(again, [VIDEO]), losses(model, [VIDEO]))
    assert not again.trainable()


def test_a_later_modality_trains_its_own_and_nothing_else() -> None:
    model = Answerer(tiny())
    model.begin("image", ADAPTER, seed=1)
    assert {name.split(".")[1] for name, value in model.named_parameters() if value.requires_grad} == {
        "entries",
        "connector",
    }
    before = digest({name: value.detach() for name, value in model.backbone.model.named_parameters()})
    model.begin("point_cloud", ADAPTER, seed=2)
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    own = ("backbone.entries.point_cloud.", "backbone.encoders.point_cloud.")
    assert all(name.startswith(own) or "point_cloud" in name.split(".") for name in names)
    unchanged = frozen(model)
    learn(model, POINTS)
    assert frozen(model) == unchanged
    assert before == digest(
        {
            name.replace(".base_layer", ""): value.detach()
            for name, value in model.backbone.model.named_parameters()
            if "ana_" not in name
        }
    )


@pytest.mark.parametrize("beams", [1, 2])
def test_generation_takes_each_samples_own_path(tmp_path: Path, beams: int) -> None:
    model, _ = learned(ADAPTER, tmp_path)
    how = Generation(max_tokens=5, beams=beams)
    samples = [VIDEO, IMAGE]
    together = model.backbone.generate(Batch.collate(samples), how)
    assert together == [model.backbone.generate(Batch.collate([sample]), how)[0] for sample in samples]
    base = Answerer(tiny())
    base.load("image", tmp_path / "image")
    assert base.backbone.generate(Batch.collate([IMAGE]), how) == together[1:]


def test_candidates_are_words_whatever_modality_is_active(tmp_path: Path) -> None:
    model, _ = learned(ADAPTER, tmp_path)
    texts = ["yes", "no", "left"]
    for sample in (IMAGE, VIDEO):
        (found,) = model.backbone.rank(Batch.collate([sample]), [texts])
        with torch.no_grad():
            sums, counts = model.backbone(Batch.collate([sample] * len(texts)), texts)
        torch.testing.assert_close(found, sums / counts, atol=1e-4, rtol=1e-5)


def test_adapters_go_on_the_connector_where_no_sites_are_said() -> None:
    model = Answerer(tiny())
    model.begin("image", ADAPTER, seed=1)
    model.begin("video", ADAPTER.model_copy(update={"sites": ()}), seed=2)
    model.begin("audio", ADAPTER.model_copy(update={"sites": ()}), seed=2)
    adapted = {name.split(".ana_")[0] for name, _ in model.named_parameters() if ".ana_" in name}
    assert adapted == {"backbone.connector.linear_1", "backbone.connector.linear_2"}


def test_mistakes_are_named(tmp_path: Path) -> None:
    model = Answerer(tiny())
    model.begin("image", ADAPTER, seed=1)
    with pytest.raises(ValueError, match="image is learned already"):
        model.begin("image", ADAPTER, seed=1)
    parents = AdapterInAdapter.model_validate({**ADAPTER.model_dump(), "parents": {"video": ["audio"]}})
    with pytest.raises(UserError, match=r"model\.adapter\.parents\.video: audio is not learned before video"):
        model.begin("video", parents, seed=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "trained.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        Answerer(tiny()).load("image", tmp_path / "broken")

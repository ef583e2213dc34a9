"""A model that reads pictures itself learns other modalities, and what it says of pictures stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AyaVisionConfig, AyaVisionForConditionalGeneration, CLIPVisionConfig, Cohere2Config

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.answer_config import Generation
from dist_mcl.backbones.causal_folder import open_multimodal_model, open_tokenizer
from dist_mcl.backbones.causal_hub import HubCausalBackbone
from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.causal_config import CausalConfig
from dist_mcl.encoder_config import Medium, PictureFeatures, PointFeatures, VectorFeatures
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch, QuestionAnswer, Sample, Tokens
from dist_mcl.training.answerer import Answerer

from .causal_samples import random_sample
from .tiny_llava import PATCH, PROMPT, save_llava

ORDER = ("image", "sensor", "point_cloud")
ENCODERS = {
    "image": PictureFeatures(),
    "sensor": VectorFeatures(kind="vectors", features=4),
    "point_cloud": PointFeatures(features=16),
}
MEDIA = {name: Medium(place="here", encoder=encoder, cue=f"{name}: ") for name, encoder in ENCODERS.items()}
CONFIG = CausalConfig(kind="causal", path="x", prompt=PROMPT)
SITES = (
    {"role": "connector", "suffixes": ("linear_1", "linear_2"), "count": 2},
    {"role": "decoder", "suffixes": ("q_proj", "v_proj"), "count": 4},
)
ADAPTER = AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 4, "sites": SITES})


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    save_llava(folder)
    return folder


def opened(llava: Path, media: dict[str, Medium] = MEDIA, seed: int = 0) -> HubCausalBackbone:
    return open_multimodal_model(llava, open_tokenizer(llava), CONFIG, media, {}, seed)


def samples(seed: int = 0) -> dict[str, Sample]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (16, PATCH, PATCH, 3), dtype=np.uint8)
    readings = rng.normal(size=(5, 4)).astype(np.float32)
    asked = QuestionAnswer("What is it?", ("a cat",))
    return {
        "image": Sample({"image": Tokens.full(pixels, (4, 4))}, asked, 0, stage=1),
        "sensor": Sample({"sensor": Tokens.full(readings, (5,))}, asked, 1, stage=1),
        "point_cloud": random_sample(rng, "point_cloud"),
    }


@torch.no_grad()
def surprise(backbone: nn.Module, *asked: Sample) -> torch.Tensor:
    found: torch.Tensor = backbone(Batch.collate(list(asked)), ["a cat"] * len(asked))[0]
    return found


def test_pictures_are_read_as_where_they_are_alone(llava: Path) -> None:
    image = samples()["image"]
    alone = opened(llava, {"image": MEDIA["image"]})
    assert torch.equal(surprise(opened(llava), image), surprise(alone, image))


def test_modalities_answer_in_one_batch_as_each_alone(llava: Path) -> None:
    backbone, each = opened(llava), samples()
    assert backbone.modalities == ORDER
    together = surprise(backbone, *each.values())
    torch.testing.assert_close(together, torch.cat([surprise(backbone, one) for one in each.values()]))
    said = backbone.generate(Batch.collate(list(each.values())), Generation(max_tokens=4))
    assert said == [backbone.generate(Batch.collate([one]), Generation(max_tokens=4))[0] for one in each.values()]


def test_new_modalities_leave_those_before_as_they_were(llava: Path, tmp_path: Path) -> None:
    each = samples()
    model = Answerer(opened(llava))
    after: dict[str, torch.Tensor] = {}
    for number, name in enumerate(ORDER):
        model.begin([name], ADAPTER, seed=number)
        before = surprise(model.backbone, each[name])
        train(model, each[name])
        model.save(tmp_path / name)
        after[name] = surprise(model.backbone, each[name])
        assert after[name] < before
        assert all(torch.equal(surprise(model.backbone, each[one]), found) for one, found in after.items())
    read = Answerer(opened(llava))
    read.load([([name], tmp_path / name) for name in ORDER])
    assert all(torch.equal(surprise(read.backbone, each[name]), after[name]) for name in ORDER)


def train(model: Answerer, sample: Sample) -> None:
    optimizer = torch.optim.AdamW(model.trainable(), lr=0.02)
    model.train()
    for _ in range(3):
        found = model(Batch.collate([sample]))
        optimizer.zero_grad()
        found.surprise.sum().backward()
        optimizer.step()
    model.eval()


def test_a_modalitys_own_and_its_base(llava: Path) -> None:
    backbone = opened(llava)
    assert [backbone.own_modules(name) for name in ORDER] == [
        [],
        ["entries.sensor"],
        ["entries.point_cloud", "encoders.point_cloud"],
    ]
    assert [backbone.base_modules(name) for name in ORDER] == [["model"], ["model", "encoders.sensor"], ["model"]]


def test_entries_begin_as_the_seed_says(llava: Path) -> None:
    weights = [opened(llava, seed=seed).get_parameter("entries.sensor.lift.weight") for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_frozen_encoders_run_once_and_pictures_are_left_alone(llava: Path) -> None:
    backbone, each = opened(llava), samples()
    prepared = backbone.prepare(list(each.values()))
    assert [sorted(sample.prepared) for sample in prepared] == [[], ["sensor"], []]
    assert prepared[0] is each["image"]
    assert backbone.prepares(["sensor"]) and backbone.prepares(["image", "sensor"])
    assert not backbone.prepares(["image"])  # which are many, and read when they are used


def test_a_projector_of_whole_pictures_is_refused_other_modalities(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = AyaVisionConfig(
        vision_config=CLIPVisionConfig(image_size=32, patch_size=8, **sizes),
        text_config=Cohere2Config(vocab_size=260, num_key_value_heads=2, **sizes),
        downsample_factor=2,
    )
    AyaVisionForConditionalGeneration(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="takes features one by one, so it can learn no modality but image"):
        opened(tmp_path)

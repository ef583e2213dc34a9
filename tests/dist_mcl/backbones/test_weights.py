"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from dist_mcl.backbones.patch_encoder import PatchEncoder
from dist_mcl.backbones.small import MINILM_PART, WEIGHTS, SmallBackbone, open_weights
from dist_mcl.tokens import Batch

from .samples import random_sample

MINILM = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as MiniLM's, with random embeddings: its own come from a package that tests do not fetch."""
    folder = tmp_path_factory.mktemp("minilm")
    MINILM.save_pretrained(folder)
    torch.manual_seed(0)
    state = SmallBackbone(MINILM, PatchEncoder()).bert.state_dict()
    old = {"embeddings.position_ids": torch.arange(512)[None], "pooler.dense.bias": torch.zeros(384)}
    save_file({**state, **old}, folder / "model.safetensors")
    return folder


def test_the_shipped_weights_load_and_make_a_working_backbone(minilm: Path) -> None:
    backbone = SmallBackbone.from_pretrained(minilm)
    embeddings = load_file(minilm / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(backbone.bert.embeddings.word_embeddings.weight, embeddings)
    layer = "bert.encoder.layer.5.output.dense.weight"
    assert torch.equal(backbone.state_dict()[layer], load_file(WEIGHTS)[layer].float())
    samples = [random_sample(np.random.default_rng(number), number, 5) for number in range(3)]
    with torch.no_grad():
        features = backbone(Batch.collate(samples))
    assert features.shape == (3, 384) and features.isfinite().all()
    assert features.std(0).mean() > 1e-3


def test_the_shipped_weights_are_small_and_hold_nothing_of_minilms_embeddings() -> None:
    weights = load_file(WEIGHTS)
    assert not [name for name in weights if name.startswith(MINILM_PART)]
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert WEIGHTS.stat().st_size < 25_000_000


def test_weights_can_be_read_one_after_the_other(minilm: Path) -> None:
    with open_weights(minilm) as read:
        for name, value in SmallBackbone.from_pretrained(minilm).state_dict().items():
            assert torch.equal(read(name), value)


def test_weights_of_another_model_are_refused(minilm: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(SmallBackbone.tiny().state_dict(), other)
    with pytest.raises(RuntimeError, match="size mismatch"):
        SmallBackbone.from_pretrained(minilm, other)

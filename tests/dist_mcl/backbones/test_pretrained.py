"""The small backbone as it is used: pretrained, on scenes of the emoji set, with the masks that it makes there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import Model
from dist_mcl.data_config import EmojiData
from dist_mcl.modalities.tokenizers import open_tokenizers
from dist_mcl.packages.models import model_dir
from dist_mcl.scenario.readers import open_splits
from dist_mcl.tokens import Batch, Sample
from tests.dist_mcl.exemplars.masks import masking

from .samples import hidden_from_attention, run

COUNT = 48


@pytest.fixture(scope="module")
def backbone() -> SmallBackbone:
    return SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2")).eval()


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    """Drawings in photographs, with the whole of their keywords."""
    train, tokenizers = open_splits(EmojiData(text="full"), seed=0)["train"], open_tokenizers(Model())
    chosen = np.random.default_rng(0).choice(len(train), COUNT, replace=False)
    return [train.sample(int(index), tokenizers, 1) for index in chosen]


@pytest.fixture(scope="module")
def kept(backbone: SmallBackbone, scenes: list[Sample]) -> list[dict[str, np.ndarray]]:
    rule = masking(masker="mean")
    scores = backbone.token_scores(Batch.collate(backbone.prepare(scenes)))
    return [rule.decide(scene, its) for scene, its in zip(scenes, scores, strict=True)]


def test_how_much_masks_keep(kept: list[dict[str, np.ndarray]]) -> None:
    """arXiv 2412.09549, figure 4: 22 to 29 % of the patches, and 35 to 39 % of the words of long captions.

    Of ten keywords more lie above their mean, or above that of the dropped patches.
    """
    image, text = (float(np.mean([masks[name].mean() for masks in kept])) for name in ("image", "text"))
    assert 0.20 <= image <= 0.35
    assert 0.40 <= text <= 0.65


def test_what_is_dropped_is_as_if_it_were_not_attended_to(
    backbone: SmallBackbone, scenes: list[Sample], kept: list[dict[str, np.ndarray]]
) -> None:
    prepared = backbone.prepare(scenes)
    thinned = [
        replace(one, tokens={name: its.take(masks[name]) for name, its in one.tokens.items()})
        for one, masks in zip(prepared, kept, strict=True)
    ]
    dropped = run(backbone, thinned)
    with torch.no_grad():
        hidden, sequences = backbone.embed(Batch.collate(prepared))
        mask = {name: np.concatenate([masks[name] for masks in kept]) for name in ("image", "text")}
        reference = backbone.pool(backbone.encode(hidden, hidden_from_attention(sequences, mask)), sequences)
    torch.testing.assert_close(dropped, reference, atol=1e-5, rtol=0)
    assert (dropped - run(backbone, prepared)).abs().max() > 1e-2, "dropping must matter"

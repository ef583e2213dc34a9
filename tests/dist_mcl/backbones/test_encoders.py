"""Every encoder is for both backbones, if it takes the tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from dist_mcl.adapters.adapter_in_adapter import ModalityPaths
from dist_mcl.backbones.causal_tiny import tiny_causal
from dist_mcl.backbones.encoders import EncoderSource
from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.qformer_folder import untrained_qformer
from dist_mcl.causal_config import TinyCausalConfig
from dist_mcl.config import AttentionScores, Exemplars
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium
from dist_mcl.exemplars.questions import QuestionMasking
from dist_mcl.packages.pretrained import checkpoint_files, checkpoint_names
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.tokens import Batch, CellScores, QuestionAnswer, Sample, Tokens

from .causal_samples import MODALITIES, dropped, random_sample

WIDTH = 32  # of both tiny language models
Make = Callable[[Mapping[str, object]], EncodingBackbone]


@pytest.fixture(params=["causal", "qformer"])
def make(request: pytest.FixtureRequest) -> Make:
    """A tiny backbone, from the encoder of each modality."""

    def of(encoders: Mapping[str, object]) -> EncodingBackbone:
        media = {
            name: Medium.model_validate({"place": "here", "encoder": encoder, "cue": ""})
            for name, encoder in encoders.items()
        }
        if request.param == "causal":
            files = checkpoint_files(TinyCausalConfig(kind="causal-tiny"), media)
            backbone: EncodingBackbone = tiny_causal(media, files)
        else:
            config = QFormerConfig.model_validate({"kind": "qformer", "layout": "tiny"})
            backbone = untrained_qformer(config, media, checkpoint_files(config, media))
        backbone.paths = ModalityPaths(backbone)
        return backbone

    return of


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 20, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=24, patch_size=8)).save_pretrained(folder)
    return str(folder)


def test_five_modalities_by_encoders_of_packages(make: Make) -> None:
    pictures = {"kind": "efficientnet-lite0", "side": 32, "cells": 1}
    encoders = dict.fromkeys(("image", "video", "depth"), pictures)
    encoders["audio"] = {"kind": "whisper-tiny.en", "seconds": 0.2}
    encoders["point_cloud"] = {"kind": "points", "features": 12}
    backbone = make({name: encoders[name] for name in MODALITIES})
    assert backbone.encoders["image"].network is backbone.encoders["depth"].network
    rng = np.random.default_rng(0)
    samples = [random_sample(rng, name, number) for number, name in enumerate(MODALITIES)]
    media = backbone.media(Batch.collate(backbone.prepare(samples)))
    assert [tokens.embeddings.shape[1] for tokens in media.values()] == [WIDTH] * 5
    assert all(len(tokens.embeddings) for tokens in media.values())
    backbone.encoders["point_cloud"].requires_grad_(True)
    backbone(Batch.collate(samples[-1:]), ["a chair"])[0].sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in backbone.encoders["point_cloud"].points.parameters())
    assert "encoders.point_cloud" in backbone.own_modules("point_cloud")


def test_pictures_depth_maps_and_clips_by_one_checkpoint_of_hugging_face(make: Make, clip: str) -> None:
    names = ("image", "video", "depth")
    backbone = make({name: {"kind": "huggingface", "path": clip} for name in names})
    assert backbone.encoders["image"] is backbone.encoders["depth"]
    rng = np.random.default_rng(1)
    samples = [random_sample(rng, name, number) for number, name in enumerate(names)]
    prepared = backbone.prepare(samples)
    shapes = [its.values.shape for sample in prepared for its in sample.tokens.values()]
    assert shapes == [(10, 20), (60, 20), (10, 20)]  # a class token and 3 x 3 cells; of a clip for each of 6 frames
    with torch.no_grad():
        raw, ready = (backbone(Batch.collate(its), ["a chair"] * 3)[0] for its in (samples, prepared))
    torch.testing.assert_close(raw, ready, atol=0.05, rtol=1e-2)


@pytest.mark.parametrize("make", ["causal"], indirect=True)
@pytest.mark.parametrize(
    ("name", "kept", "grid", "cells"),
    [
        ("image", slice(None), (3, 3), list(range(9))),
        ("depth", slice(2, 3), (3, 3), [3, 4, 6, 7]),  # of 2 x 2 patches the one below on the left
        ("video", slice(1, 2), (6, 3, 3), list(range(18, 36))),  # the third and fourth of six frames
    ],
)
def test_masks_see_a_checkpoints_patches_where_they_lie_and_no_class_token(
    make: Make, clip: str, name: str, kept: slice, grid: tuple[int, ...], cells: list[int]
) -> None:
    backbone = make({name: {"kind": "huggingface", "path": clip}})
    sample = dropped(random_sample(np.random.default_rng(2), name), kept)
    (found,) = backbone.attended(Batch.collate(backbone.prepare([sample])), ["yes"], AttentionScores()).scores
    assert (found[name].grid, found[name].positions.tolist()) == (grid, cells)
    masked = QuestionMasking(Exemplars(), seed=0)(sample, found)
    assert set(masked.tokens[name].positions) <= set(sample.tokens[name].positions)


def test_attention_to_one_patch_keeps_the_token_in_its_row_and_column(clip: str) -> None:
    encoder = EncoderSource({clip: Path(clip)}).open(
        Medium(place="here", encoder=HuggingFaceFeatures(kind="huggingface", path=clip), cue="")
    )
    cells, grid = encoder.cells(torch.arange(10), (10,))
    assert cells.tolist() == [-1, *range(9)]
    scores = CellScores((cells[1:] == 6).float().numpy(), cells[1:].numpy(), grid)  # the last row, the first column
    values = np.zeros((36, 4, 4, 3), np.uint8)
    sample = Sample({"image": Tokens.full(values, (6, 6))}, QuestionAnswer("What?", ("yes",)), 0, 1)
    masked = QuestionMasking(Exemplars(), seed=0)(sample, {"image": scores})
    assert masked.tokens["image"].positions.tolist() == [24, 25, 30, 31]


def test_pretrained_parts_are_known_by_their_names(clip: str) -> None:
    encoders = ({"kind": "huggingface", "path": clip}, {"kind": "whisper-tiny.en"}, {"kind": "points"})
    media = {
        f"m{number}": Medium.model_validate({"place": "here", "encoder": encoder, "cue": ""})
        for number, encoder in enumerate(encoders)
    }
    whole = QFormerConfig(kind="qformer", path="owner/model")
    assert checkpoint_names(whole, media) == {
        "language model": "owner/model",
        clip: clip,
        "whisper-tiny.en": "whisper-tiny.en",
    }
    for random_weights in (QFormerConfig(kind="qformer"), TinyCausalConfig(kind="causal-tiny")):
        assert checkpoint_names(random_weights, media) == {clip: clip}
    assert checkpoint_files(random_weights, media) == {clip: Path(clip)}

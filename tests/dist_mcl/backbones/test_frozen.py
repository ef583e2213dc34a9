"""Frozen models draw nothing by chance: in training, equal calls give equal bits, and those that answering gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    FalconConfig,
    GPT2Config,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    LlamaConfig,
    MixtralConfig,
    OPTConfig,
    PretrainedConfig,
    ViTConfig,
    ViTModel,
)

from dist_mcl.backbones.causal_folder import open_language_model
from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.encoders import EncoderSource
from dist_mcl.backbones.qformer_folder import assemble, open_instructblip, untrained_qformer
from dist_mcl.encoder_config import HuggingFaceFeatures, InstructBlipFeatures, Medium
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.tokens import Batch, PackedTokens

from .causal_samples import one_of_each

RATE = 0.5
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
# Rates are in modules, in numbers that modules keep, in the configuration itself; and there is the noise of a router.
LANGUAGE_MODELS = {
    "gpt2": GPT2Config(
        vocab_size=300, n_embd=16, n_layer=2, n_head=2, resid_pdrop=RATE, embd_pdrop=RATE, attn_pdrop=RATE
    ),
    "opt": OPTConfig(
        vocab_size=300,
        **SIZES,
        ffn_dim=32,
        word_embed_proj_dim=16,
        dropout=RATE,
        attention_dropout=RATE,
        layerdrop=RATE,
    ),
    "llama": LlamaConfig(vocab_size=300, **SIZES, intermediate_size=32, attention_dropout=RATE),
    "falcon": FalconConfig(vocab_size=300, **SIZES, hidden_dropout=RATE, attention_dropout=RATE),
    "mixtral": MixtralConfig(
        vocab_size=300,
        **SIZES,
        intermediate_size=32,
        num_key_value_heads=2,
        num_local_experts=4,
        router_jitter_noise=RATE,
    ),
}


@pytest.fixture(params=LANGUAGE_MODELS)
def language(request: pytest.FixtureRequest) -> PretrainedConfig:
    return LANGUAGE_MODELS[request.param]


@pytest.mark.parametrize("with_weights", [True, False])
@torch.no_grad()
def test_a_language_model_has_no_dropout(language: PretrainedConfig, with_weights: bool, tmp_path: Path) -> None:
    AutoModelForCausalLM.from_config(language).save_pretrained(tmp_path)
    model = open_language_model(tmp_path, None, with_weights)
    ids = torch.arange(40).view(2, 20)
    asked = model(ids).logits
    model.train()
    assert torch.equal(model(ids).logits, asked) and torch.equal(model(ids).logits, asked)


def instructblip() -> InstructBlipConfig:
    """Sizes of a tiny one with dropout in all of its three parts."""
    return InstructBlipConfig(
        vision_config={**SIZES, "intermediate_size": 32, "image_size": 32, "patch_size": 16, "attention_dropout": RATE},
        qformer_config={
            **SIZES,
            "intermediate_size": 32,
            "vocab_size": 300,
            "hidden_dropout_prob": RATE,
            "attention_probs_dropout_prob": RATE,
            "encoder_hidden_size": 16,
        },
        text_config=LANGUAGE_MODELS["opt"].to_dict(),
        num_query_tokens=4,
    )


@pytest.mark.parametrize("with_weights", [True, False])
@torch.no_grad()
def test_an_instructblip_has_no_dropout(with_weights: bool, tmp_path: Path) -> None:
    media = {"image": Medium(place="here", encoder=InstructBlipFeatures(), cue="")}
    InstructBlipForConditionalGeneration(instructblip()).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path / "qformer_tokenizer")
    if with_weights:
        backbone = assemble(*open_instructblip(tmp_path), media, "{media}{question}", {})
    else:
        backbone = untrained_qformer(QFormerConfig(kind="qformer", path=str(tmp_path)), media, {})
    picture = Batch.collate(one_of_each()[:1])
    asked, _ = backbone(picture, ["a chair"])
    backbone.train()
    assert torch.equal(backbone(picture, ["a chair"])[0], asked) and torch.equal(
        backbone(picture, ["a chair"])[0], asked
    )


@pytest.mark.parametrize("kind", ["vit", "dinov3"])
@torch.no_grad()
def test_a_picture_encoder_sees_in_training_what_it_sees_otherwise(kind: str, tmp_path: Path) -> None:
    if kind == "vit":
        ViTModel(
            ViTConfig(**SIZES, image_size=24, patch_size=8, hidden_dropout_prob=RATE, attention_probs_dropout_prob=RATE)
        ).save_pretrained(tmp_path)
    else:  # its positions are stretched by chance in training
        DINOv3ViTModel(
            DINOv3ViTConfig(**SIZES, intermediate_size=32, image_size=24, patch_size=8, pos_embed_rescale=2.0)
        ).save_pretrained(tmp_path)
    name = str(tmp_path)
    encoder = EncoderSource({name: tmp_path}).open(
        Medium(place="here", encoder=HuggingFaceFeatures(kind="huggingface", path=name), cue="")
    )
    picture: PackedTokens = Batch.collate(one_of_each()[:1]).tokens["image"]
    asked: Tensor = encoder.eval()(picture).values
    encoder.train()
    assert torch.equal(encoder(picture).values, asked) and torch.equal(encoder(picture).values, asked)

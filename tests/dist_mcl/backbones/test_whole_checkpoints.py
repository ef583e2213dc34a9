"""A checkpoint that lacks weights which are read is refused: each process would draw random ones of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, InstructBlipForConditionalGeneration, ViTConfig, ViTModel

from dist_mcl.backbones.causal_folder import open_multimodal_model, open_tokenizer
from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.encoders import EncoderSource
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.qformer_folder import layout, open_instructblip
from dist_mcl.causal_config import CausalConfig
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium, PictureFeatures
from dist_mcl.errors import UserError

from .tiny_llava import PROMPT, save_llava

SIZES = {"hidden_size": 20, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def leave_out(folder: Path, word: str) -> str:
    """Take the weights with this word in their names away; returns the first name."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    names = sorted(name for name in weights if word in name)
    save_file({name: value for name, value in weights.items() if name not in names}, path, metadata={"format": "pt"})
    return names[0]


def open_encoder(folder: Path) -> MediaEncoder:
    encoder = HuggingFaceFeatures(kind="huggingface", path=str(folder))
    return EncoderSource({str(folder): folder}, is_tiny=False).open(Medium(place="here", encoder=encoder, cue=""))


def test_a_multimodal_model(tmp_path: Path) -> None:
    save_llava(tmp_path)
    leave_out(tmp_path, "layers.0.self_attn.q_proj")
    config = CausalConfig(kind="causal", path="x", prompt=PROMPT)
    media = {"image": Medium(place="here", encoder=PictureFeatures(), cue="")}
    with pytest.raises(UserError, match=r"has no weights .*layers\.0\.self_attn\.q_proj.*; get it again"):
        open_multimodal_model(tmp_path, open_tokenizer(tmp_path), config, media, {}, 0)


def test_an_instructblip(tmp_path: Path) -> None:
    InstructBlipForConditionalGeneration(layout("tiny")).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path / "qformer_tokenizer")
    open_instructblip(tmp_path)
    leave_out(tmp_path, "query_tokens")
    with pytest.raises(UserError, match=r"has no weights .*query_tokens, of 1 that are missing; get it again"):
        open_instructblip(tmp_path)


def test_an_encoder_of_pictures(tmp_path: Path) -> None:
    CLIPVisionModel(CLIPVisionConfig(**SIZES, image_size=24, patch_size=8)).save_pretrained(tmp_path)
    open_encoder(tmp_path)
    leave_out(tmp_path, "patch_embedding")
    with pytest.raises(UserError, match=r"has no weights .*patch_embedding.*, of 1 that are missing; get it again"):
        open_encoder(tmp_path)


def test_a_pooler_is_not_read_and_need_not_be_there(tmp_path: Path) -> None:
    ViTModel(ViTConfig(**SIZES, image_size=24, patch_size=8)).save_pretrained(tmp_path)
    leave_out(tmp_path, "pooler")
    open_encoder(tmp_path)
    leave_out(tmp_path, "patch_embeddings.projection.weight")
    with pytest.raises(UserError, match="of 1 that are missing"):
        open_encoder(tmp_path)

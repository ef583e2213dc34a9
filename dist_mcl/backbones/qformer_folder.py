"""What the backbone `qformer` is made of: an InstructBLIP checkpoint, or the sizes of one; and encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipVideoForConditionalGeneration,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dist_mcl.backbones.causal_folder import open_tokenizer, prompter_of
from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.encoders import EncoderSource
from dist_mcl.backbones.frozen import remove_dropout
from dist_mcl.backbones.qformer import QFormerBackbone
from dist_mcl.backbones.vision_encoder import CLIP_DEVIATION, CLIP_MEAN, VisionEncoder
from dist_mcl.encoder_config import Medium
from dist_mcl.errors import UserError
from dist_mcl.packages.hub import WEIGHT_ERRORS, check_whole, checkpoint_folder, read_settings, why_unreadable
from dist_mcl.qformer_config import QFormerConfig

InstructBlip = InstructBlipForConditionalGeneration | InstructBlipVideoForConditionalGeneration

_MODELS: dict[str, Any] = {
    "instructblip": InstructBlipForConditionalGeneration,
    "instructblipvideo": InstructBlipVideoForConditionalGeneration,
}
_QFORMER_VOCABULARY = 30523  # BERT's words and [DEC]


def layout(name: str) -> InstructBlipConfig:
    """The sizes of a model that is no file: InstructBLIP with Vicuna 7B, or a tiny one."""
    if name == "instructblip-vicuna-7b":
        config = InstructBlipConfig(
            qformer_config={"vocab_size": _QFORMER_VOCABULARY}, text_config=LlamaConfig(vocab_size=32001).to_dict()
        )
    else:
        width = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        config = InstructBlipConfig(
            vision_config={**width, "hidden_size": 48, "image_size": 32, "patch_size": 16, "initializer_range": 0.02},
            qformer_config={**width, "vocab_size": 300},
            text_config={**width, "model_type": "llama", "vocab_size": 300, "num_key_value_heads": 2},
            num_query_tokens=4,
        )
    return config


def untrained_qformer(config: QFormerConfig, media: Mapping[str, Medium], files: Mapping[str, Path]) -> QFormerBackbone:
    """The backbone of an experiment with random weights; inside `torch.device("meta")` with none at all.

    Args:
        files: folder of each pretrained encoder, as of `EncoderSource`.

    Raises:
        UserError: a checkpoint that it names is not there, or holds something else.
    """
    if config.path is None:
        sizes = layout(config.layout)
    else:
        folder = checkpoint_folder(config.path, "model.backbone.path")
        check_is_instructblip(folder)
        sizes = AutoConfig.from_pretrained(folder)
    model = remove_dropout(_MODELS[sizes.model_type](sizes))
    letters = byte_tokenizer()
    is_tiny = config.path is None and config.layout == "tiny"
    return assemble(model, letters, letters, media, config.prompt or "{media}{question}", files, is_tiny)


def open_instructblip(folder: Path) -> tuple[InstructBlip, PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    """A checkpoint in fp32 without dropout, the tokenizer of its language model, and that of its Q-Former.

    Raises:
        UserError: the folder holds no InstructBLIP, or a damaged one, or one with an encoder-decoder language model.
    """
    check_is_instructblip(folder)
    try:
        kind = _MODELS[AutoConfig.from_pretrained(folder).model_type]
        model, told = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        reader = AutoTokenizer.from_pretrained(folder / "qformer_tokenizer")
    except WEIGHT_ERRORS as error:
        reason = why_unreadable(error)
        raise UserError(f"{folder}: the checkpoint cannot be read ({reason}); get it again") from error
    check_whole(folder, told["missing_keys"])
    return remove_dropout(model), open_tokenizer(folder), reader


def check_is_instructblip(folder: Path) -> None:
    """Raises UserError for a folder of another model, or one whose language model is no plain decoder."""
    settings = read_settings(folder, "config")
    kind, words = settings.get("model_type"), settings.get("text_config", {}).get("model_type")
    if kind not in _MODELS:
        raise UserError(
            f"{folder}: holds no InstructBLIP (config.json says model_type {kind!r}); choose another folder"
        )
    if words not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"{folder}: its language model {words!r} has an encoder; choose one with Vicuna or another decoder"
        )


def assemble(
    model: InstructBlip,
    tokenizer: PreTrainedTokenizerBase,
    reader: PreTrainedTokenizerBase,
    media: Mapping[str, Medium],
    prompt: str | None,
    files: Mapping[str, Path],
    is_tiny: bool = False,
) -> QFormerBackbone:
    """The backbone, frozen; every modality begins with the checkpoint's query tokens and, where it fits, its norm.

    Args:
        model: the checkpoint, which is taken apart, or random weights.
        tokenizer, reader: of its language model and of its Q-Former, which reads the question too.
        files, is_tiny: as of `EncoderSource`.

    Raises:
        UserError: as `EncoderSource.open`, or the prompt lacks a place.
    """
    norm = model.vision_model.post_layernorm
    model.vision_model.post_layernorm = nn.Identity()  # it is the norm of an entry here
    source = EncoderSource(files, is_tiny, own=VisionEncoder(model.vision_model, CLIP_MEAN, CLIP_DEVIATION))
    encoders = {name: source.open(medium) for name, medium in media.items()}
    prompter = prompter_of(tokenizer, prompt, media)
    units = [name for name, medium in media.items() if medium.units]
    queries = model.query_tokens.shape[1]
    backbone = QFormerBackbone(
        cast(PreTrainedModel, model.language_model), prompter, encoders, units, model.qformer, queries, reader
    )
    backbone.language_projection = model.language_projection
    for name in media:
        backbone.entry(name).begin(model.query_tokens, norm)
    return backbone.requires_grad_(False).eval()

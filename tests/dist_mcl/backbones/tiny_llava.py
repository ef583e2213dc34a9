"""A LLaVA of tiny sizes with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from dist_mcl.backbones.causal_tiny import byte_tokenizer

SIDE, PATCH, PLACEHOLDER = 32, 8, 258
PROMPT = "USER: {media}\n{question} ASSISTANT:"


def save_llava(folder: Path, dropout: float = 0.0) -> None:
    """Write its checkpoint: 16 tokens of a picture of 32 pixels."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "attention_dropout": dropout,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **sizes),
        text_config=LlamaConfig(vocab_size=260, num_key_value_heads=2, initializer_range=0.2, **sizes),
        image_token_index=PLACEHOLDER,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)

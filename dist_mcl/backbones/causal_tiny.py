"""The backbone `causal-tiny`: a tiny language model over bytes, random weights, no files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dist_mcl.backbones.causal import CausalBackbone
from dist_mcl.backbones.causal_folder import assemble
from dist_mcl.encoder_config import Medium

_END = "<end>"
_PROMPT = "{media}{question} "


def tiny_causal(media: Mapping[str, Medium], files: Mapping[str, Path], seed: int = 0) -> CausalBackbone:
    """A backbone of 2 layers of width 32; equal seeds give equal weights.

    Args:
        files: folders of pretrained encoders, as of `EncoderSource`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = byte_tokenizer()
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.2,
            eos_token_id=tokenizer.eos_token_id,
        )
        model = LlamaForCausalLM(config).eval()
    return assemble(model, tokenizer, media, _PROMPT, connector_width=32, files=files, seed=seed, is_tiny=True)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte of a text is a token; one more ends an answer."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=_END, pad_token=_END)

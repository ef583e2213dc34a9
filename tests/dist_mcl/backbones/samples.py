"""Random samples and tiny backbones for the tests of backbones."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from transformers import ViltConfig

from dist_mcl.backbones import Backbone, SmallBackbone, ViltBackbone
from dist_mcl.backbones.backbone import Sequences
from dist_mcl.backbones.packing import Layout
from dist_mcl.tokens import Batch, Sample, Tokens

TINY_VILT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
    "initializer_range": 0.2,
}


def tiny_vilt(seed: int = 0) -> ViltBackbone:
    """ViLT with random weights, the positions' too, in 16 px patches and for texts of up to 126 tokens."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = ViltBackbone(ViltConfig(**TINY_VILT, max_position_embeddings=128), special=(101, 102))
        for name, parameter in backbone.named_parameters():
            if name.endswith(("class_token", "positions")):
                torch.nn.init.normal_(parameter, std=0.2)
    return backbone.eval()


TINY = {"small": SmallBackbone.tiny, "vilt": tiny_vilt}


def run(backbone: Backbone, samples: list[Sample]) -> torch.Tensor:
    """Pooled features (B, width)."""
    with torch.no_grad():
        return backbone(Batch.collate(samples))


def ragged_samples(rng: np.random.Generator) -> list[Sample]:
    """Whole, thinned, without text, without picture; one is so long that it is not padded with the others."""
    whole = [random_sample(rng, number, words) for number, words in enumerate((4, 9, 1, 40))]
    lacking = [random_sample(rng, 4, 0), random_sample(rng, 5, 5, picture=False)]
    return [*whole, thin(rng, whole[1])[0], *lacking]


def random_sample(rng: np.random.Generator, number: int, words: int, *, picture: bool = True) -> Sample:
    """A sample with a 96 px picture of noise and a text of `words` random tokens; none of either where it has none."""
    tokens = {}
    if picture:
        tokens["image"] = Tokens.full(rng.integers(0, 256, (36, 16, 16, 3), dtype=np.uint8), (6, 6))
    if words:
        tokens["text"] = Tokens.full(rng.integers(1000, 30000, words).astype(np.int32), (words,))
    return Sample(tokens, target=number % 3, id=number, stage=1)


def thin(rng: np.random.Generator, sample: Sample, share: float = 0.5) -> tuple[Sample, dict[str, np.ndarray]]:
    """The sample without a random part of its tokens, and what is kept, bool by modality."""
    kept = {name: rng.random(len(tokens)) < share for name, tokens in sample.tokens.items()}
    for mask in kept.values():
        mask[0] = True
    tokens = {name: sample.tokens[name].take(mask) for name, mask in kept.items()}
    return dataclasses.replace(sample, tokens=tokens), kept


def hidden_from_attention(sequences: Sequences, kept: dict[str, np.ndarray]) -> Layout:
    """The layout of whole samples in which no token attends to those that are not kept, bool (n,) by modality."""
    seen = torch.ones(len(sequences.layout.sequence), dtype=torch.bool)
    for name, mask in kept.items():
        seen[sequences.places[name]] = torch.from_numpy(mask)
    buckets = tuple(
        dataclasses.replace(bucket, visible=bucket.pad(seen) & bucket.visible) for bucket in sequences.layout.buckets
    )
    return dataclasses.replace(sequences.layout, buckets=buckets)

"""Random samples for the backbone's tests."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from dist_mcl.backbones.backbone import Sequences
from dist_mcl.backbones.packing import Layout
from dist_mcl.tokens import Sample, Tokens


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
    return Sample(tokens, sample.target, sample.id, sample.stage), kept


def hidden_from_attention(sequences: Sequences, kept: dict[str, np.ndarray]) -> Layout:
    """The layout of whole samples in which no token attends to those that are not kept, bool (n,) by modality."""
    seen = torch.ones(len(sequences.layout.sequence), dtype=torch.bool)
    for name, mask in kept.items():
        seen[sequences.places[name]] = torch.from_numpy(mask)
    buckets = tuple(
        dataclasses.replace(bucket, visible=bucket.pad(seen) & bucket.visible) for bucket in sequences.layout.buckets
    )
    return dataclasses.replace(sequences.layout, buckets=buckets)

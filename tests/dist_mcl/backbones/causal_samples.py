"""Random samples of five modalities with questions, and a tiny backbone that answers them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dist_mcl.backbones.causal import CausalBackbone
from dist_mcl.backbones.causal_tiny import tiny_causal
from dist_mcl.encoder_config import MediumEntry, PictureFeatures, PointFeatures, SoundFeatures
from dist_mcl.tokens import QuestionAnswer, Sample, Tokens

MODALITIES = ("image", "video", "audio", "depth", "point_cloud")
# Small pictures, as the encoder runs on this machine's processor.
_ENCODERS = {
    "image": PictureFeatures(side=32, cells=2),
    "video": PictureFeatures(side=32, cells=1),
    "audio": SoundFeatures(seconds=0.2, pool=2),
    "depth": PictureFeatures(side=32, cells=2),
    "point_cloud": PointFeatures(features=16),
}
_FORMS = {
    "image": (np.uint8, (2, 2), (16, 16, 3)),
    "video": (np.uint8, (3, 1, 1), (2, 16, 16, 3)),
    "audio": (np.float16, (5, 4), (16, 5)),
    "depth": (np.uint16, (2, 2), (16, 16)),
    "point_cloud": (np.float16, (6,), (5, 3)),
}


def tiny(seed: int = 0) -> CausalBackbone:
    """A backbone of five modalities with random weights."""
    media = {name: MediumEntry(modality=name).medium("here", encoder) for name, encoder in _ENCODERS.items()}
    return tiny_causal(media, {}, seed)


def random_sample(
    rng: np.random.Generator, modality: str, number: int = 0, question: str = "What is it?", answer: str = "a chair"
) -> Sample:
    """All tokens of a medium, noise."""
    dtype, grid, shape = _FORMS[modality]
    size = (int(np.prod(grid)), *shape)
    if np.issubdtype(dtype, np.integer):
        values = rng.integers(0, np.iinfo(dtype).max + 1, size, dtype=dtype)
    else:
        values = rng.normal(size=size).astype(dtype)
    return Sample({modality: Tokens.full(values, grid)}, QuestionAnswer(question, (answer,)), number, stage=1)


def one_of_each(seed: int = 0) -> list[Sample]:
    """A sample of every modality, with questions and answers of different lengths."""
    rng = np.random.default_rng(seed)
    return [
        random_sample(rng, name, number, "What is this" + " thing" * number + "?", "yes"[: number % 3 + 1])
        for number, name in enumerate(MODALITIES)
    ]


def dropped(sample: Sample, keep: slice) -> Sample:
    """The sample with only these of its tokens."""
    tokens = {name: Tokens(item.values[keep], item.positions[keep], item.grid) for name, item in sample.tokens.items()}
    return replace(sample, tokens=tokens)

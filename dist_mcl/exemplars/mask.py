"""Which tokens of an exemplar are kept, arXiv 2412.09549.

The paper's code and text were not to be had; `mean` reproduces the masks that its figure shows, the text mask is a
reconstruction of what is known.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dist_mcl.config import Exemplars
from dist_mcl.tokens import Sample, TokenScores

Kept = NDArray[np.bool_]


def mask_sample(sample: Sample, scores: TokenScores, config: Exemplars, seed: int) -> Sample:
    """The exemplar that stands for `sample`: the same type, with the tokens that `config` keeps.

    A modality that the sample lacks, or has no token of, is left out of the reckoning; modalities other than image
    and text stay whole.

    Args:
        sample: whole, with the tokens that `scores` speaks of.
        scores: of a model that has learned the sample's class.
        config: `image_mask` and `text_mask` are read.
        seed: the run's; only `image_mask: random` draws, by seed and sample id.

    Raises:
        ValueError: scores and tokens differ in number, or scores are not finite.
    """
    image, text = sample.tokens.get("image"), sample.tokens.get("text")
    counts = (0 if image is None else len(image), 0 if text is None else len(text))
    if scores.cross.shape != counts:
        raise ValueError(f"sample {sample.id}: {counts} image and text tokens, but cross scores {scores.cross.shape}")
    if not all(np.isfinite(part).all() for part in (scores.cross, *scores.class_scores.values())):
        raise ValueError(f"sample {sample.id}: scores that are not finite")
    tokens = dict(sample.tokens)
    image_kept = np.zeros(0, dtype=np.bool_)
    if image is not None and len(image):
        image_kept = image_mask(scores.class_scores["image"], config, seed, sample.id)
        tokens["image"] = image.take(image_kept)
    if text is not None and len(text) and config.text_mask == "cross_modal":
        tokens["text"] = text.take(text_mask(scores.class_scores["text"], scores.cross, image_kept))
    return dataclasses.replace(sample, tokens=tokens)


def image_mask(class_scores: NDArray[Any], config: Exemplars, seed: int, sample_id: int) -> Kept:
    """Bool (n,): the patches that `config.image_mask` keeps, at least one unless there is none.

    `mean`: a patch whose attention from the class token is above the mean over this image. `random`: as many patches,
    drawn evenly, the control at equal size. `full`: all.
    """
    if config.image_mask == "full":
        return np.ones(len(class_scores), dtype=np.bool_)
    kept = _never_empty(_above_mean(class_scores), class_scores)
    if config.image_mask == "random":
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, sample_id))))
        return rng.permutation(kept)
    return kept


def text_mask(class_scores: NDArray[Any], cross: NDArray[Any], image_kept: Kept) -> Kept:
    """Bool (n,): words that speak of the class or of what the image mask drops; at least one unless there is none.

    A token is kept if its attention from the class token is above the mean over this text, or if its mean attention
    from the discarded patches is above the mean of that over this text.

    Args:
        class_scores: (n,), attention from the class token.
        cross: (m, n), attention from patch i to text token j.
        image_kept: bool (m,), what the image mask keeps.
    """
    kept = _above_mean(class_scores)
    discarded = cross[~image_kept]
    if len(discarded):
        kept |= _above_mean(discarded.mean(axis=0, dtype=np.float64))
    return _never_empty(kept, class_scores)


def _above_mean(scores: NDArray[Any]) -> Kept:
    # From float32 to float64, so that the mean of equal scores is exact and none of them lies above it.
    exact = scores.astype(np.float32).astype(np.float64)
    return exact > exact.mean() if len(exact) else np.zeros(0, dtype=np.bool_)


def _never_empty(kept: Kept, scores: NDArray[Any]) -> Kept:
    if len(kept) and not kept.any():
        kept[np.argmax(scores)] = True
    return kept

"""Same-class swap augmentation: n exemplars of a class give n x n pairs of picture and text, at no bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dist_mcl.tokens import Sample


def draw_text_donor(own: int, same_class: NDArray[np.int64], probability: float, rng: np.random.Generator) -> int:
    """The exemplar whose text goes with the picture of `own`: with `probability` another one of its class.

    Args:
        own: index of the exemplar that is replayed.
        same_class: int64 (n,) indices of all exemplars of its class, `own` among them.
        probability: of a swap, 0 to 1; a class of one exemplar has nothing to swap with.
        rng: two numbers are drawn in any case, so that later draws do not depend on this one.
    """
    swap, choice = rng.random(2)
    others = same_class[same_class != own]
    if swap >= probability or not len(others):
        return own
    return int(others[int(choice * len(others))])


def swap_text(sample: Sample, donor: Sample) -> Sample:
    """`sample` with the text of `donor`, each side with its own mask and positions; unchanged if one has no text.

    Raises:
        ValueError: the two are not of one class.
    """
    if sample.target != donor.target:
        raise ValueError(f"samples {sample.id} and {donor.id} are of different classes, their texts can not be swapped")
    if "text" not in sample.tokens or "text" not in donor.tokens:
        return sample
    return dataclasses.replace(sample, tokens={**sample.tokens, "text": donor.tokens["text"]})

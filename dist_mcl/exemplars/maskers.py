"""Rules that keep some tokens of a sample, by how much attention they get. One entry of `PATCH_RULES` for each kind.

All rules are pure functions of scores (and pixels, where bytes count); ties go to the lower position, and a rule is
never asked about special tokens. Formulas: docs/masking.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dist_mcl.config import (
    BoxMasker,
    FullMasker,
    LowResMasker,
    Masker,
    MeanMasker,
    MeanStdMasker,
    RandomMasker,
    RateMasker,
    TopMassMasker,
    TopRatioMasker,
)
from dist_mcl.tokens import Tokens
from exemplar_store import Codec

Kept = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """What a rule decides from.

    Attributes:
        image: the n patches that there are.
        scores: float64 (n,), attention to each of them.
        codec: how the store codes patches.
        key: seed and sample id; whatever a rule draws depends on these alone.
    """

    image: Tokens
    scores: Floats
    codec: Codec
    key: tuple[int, int]

    @property
    def rng(self) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.key)))


def keep_patches(masker: Masker, picture: Picture) -> Kept:
    """Bool (n,): the patches that a masker keeps, at least one unless there is none."""
    if not len(picture.image):
        return np.zeros(0, dtype=np.bool_)
    return _never_empty(PATCH_RULES[type(masker)](masker, picture), picture.scores)


def keep_words(masker: Masker, relevances: Sequence[NDArray[Any]]) -> Kept:
    """Bool (n,): the text tokens that matter for one reason or another, at least one unless there is none.

    A masker's own threshold is taken on each kind of relevance, and the results are united. A share of the tokens is
    taken of the largest relevance, each kind divided by its mean.

    Args:
        relevances: one or more times (n,), how much each token matters.
    """
    reasons = [exact(relevance) for relevance in relevances]
    if not len(reasons[0]):
        return np.zeros(0, dtype=np.bool_)
    if isinstance(masker, TopRatioMasker):
        relative = [reason / mean for reason in reasons if (mean := reason.mean())] or reasons
        return top_ratio(np.max(relative, axis=0), masker.text)
    kept = [_text_rule(masker)(reason) for reason in reasons]
    return _never_empty(np.any(kept, axis=0), reasons[0])


def exact(scores: NDArray[Any]) -> Floats:
    """From float32 to float64, so that the mean of equal scores is exact and none of them lies above it."""
    return scores.astype(np.float32).astype(np.float64)


def above_mean(scores: Floats, k: float = 0) -> Kept:
    """Scores above their mean + k standard deviations."""
    threshold = scores.mean() + (k * scores.std() if k else 0)
    return np.asarray(scores > threshold)


def top_ratio(scores: Floats, ratio: float) -> Kept:
    """The best share of the tokens, rounded up to whole ones, at least one."""
    return _best(scores, max(1, int(np.ceil(round(ratio * len(scores), 6)))))


def top_mass(scores: Floats, mass: float) -> Kept:
    """The fewest tokens whose scores add up to a share of all."""
    running = np.cumsum(np.sort(scores)[::-1])
    return _best(scores, 1 + int(np.searchsorted(running, mass * running[-1] * (1 - 1e-9))))


def _best(scores: Floats, count: int) -> Kept:
    kept = np.zeros(len(scores), dtype=np.bool_)
    kept[_order(scores)[:count]] = True
    return kept


def _order(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")


def _text_rule(masker: Masker) -> Callable[[Floats], Kept]:
    if isinstance(masker, MeanStdMasker):
        return lambda scores: above_mean(scores, masker.k)
    if isinstance(masker, TopMassMasker):
        return lambda scores: top_mass(scores, masker.text)
    return above_mean


def _random(masker: RandomMasker, picture: Picture) -> Kept:
    if masker.image is None:
        return picture.rng.permutation(_never_empty(above_mean(picture.scores), picture.scores))
    return picture.rng.permutation(top_ratio(picture.scores, masker.image))


def _rate(masker: RateMasker, picture: Picture) -> Kept:
    """The longest prefix of the order that fits, found by halves: a longer prefix hardly ever takes fewer bytes."""
    count = len(picture.scores)
    order = picture.rng.permutation(count) if masker.order == "random" else _order(picture.scores)

    def fits(best: int) -> bool:
        return len(picture.codec.encode(picture.image.values[np.sort(order[:best])])) <= masker.image_bytes

    fitting, too_many = 0, count + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        fitting, too_many = (middle, too_many) if fits(middle) else (fitting, middle)
    kept = np.zeros(count, dtype=np.bool_)
    kept[order[: max(fitting, 1)]] = True
    return kept


def _box(masker: BoxMasker, picture: Picture) -> Kept:
    """The smallest box with its share of the attention; of those of one size, the one with the most."""
    rows, columns = picture.image.grid
    cells = np.zeros(rows * columns)
    cells[picture.image.positions] = picture.scores
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = cells.reshape(rows, columns).cumsum(0).cumsum(1)
    top, bottom, left, right = np.ogrid[: rows + 1, : rows + 1, : columns + 1, : columns + 1]
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    area = (bottom - top) * (right - left)
    enough = (top < bottom) & (left < right) & (inside >= masker.mass * sums[-1, -1] * (1 - 1e-9))
    smallest = enough & (area == area[enough].min())
    best = np.unravel_index(np.where(smallest, inside, -np.inf).argmax(), inside.shape)
    row, column = np.divmod(picture.image.positions, columns)
    return np.asarray((best[0] <= row) & (row < best[1]) & (best[2] <= column) & (column < best[3]))


def _all(_: Masker, picture: Picture) -> Kept:
    return np.ones(len(picture.scores), dtype=np.bool_)


PATCH_RULES: dict[type, Callable[[Any, Picture], Kept]] = {
    MeanMasker: lambda masker, picture: above_mean(picture.scores),
    MeanStdMasker: lambda masker, picture: above_mean(picture.scores, masker.k),
    TopRatioMasker: lambda masker, picture: top_ratio(picture.scores, masker.image),
    TopMassMasker: lambda masker, picture: top_mass(picture.scores, masker.image),
    RateMasker: _rate,
    RandomMasker: _random,
    BoxMasker: _box,
    LowResMasker: _all,
    FullMasker: _all,
}


def _never_empty(kept: Kept, scores: Floats) -> Kept:
    if len(kept) and not kept.any():
        kept[np.argmax(scores)] = True
    return kept

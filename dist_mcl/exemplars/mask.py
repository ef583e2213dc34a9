"""Which tokens of an exemplar are kept, and in what form it is stored, arXiv 2412.09549.

The paper's code and text were not to be had; `mean` reproduces the masks that its figure shows, the text mask is a
reconstruction of what is known. An exemplar can be masked again, with fewer tokens left; none ever comes back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dist_mcl.config import BoxMasker, Exemplars, LowResMasker
from dist_mcl.exemplars.maskers import Kept, Picture, exact, keep_patches, keep_words
from dist_mcl.exemplars.resolution import SURROUND, shrunk, surround
from dist_mcl.tokens import Sample, Tokens, TokenScores
from exemplar_store import Codec


@dataclass(frozen=True, eq=False)
class Masking:
    """Makes the exemplar that stands for a sample: the same type, with fewer tokens.

    A modality that the sample lacks, or has no token of, is left out of the reckoning; modalities other than image
    and text stay whole.

    Attributes:
        config: `masker`, `text_mask`, `whole_words`, `dropped` and `fresh_coding` are read.
        seed: the run's; what is drawn depends on it and on the sample's id.
        codecs: by modality, the store's.
        continues: by token id, whether a text token continues the word before it.
    """

    config: Exemplars
    seed: int
    codecs: Mapping[str, Codec]
    continues: NDArray[np.bool_]

    @property
    def changes_pixels(self) -> bool:
        """Whether samples that are shown masked have other pixels than those of kept patches."""
        return self.is_two_sized or self.config.dropped == "black" or self.config.fresh_coding

    @property
    def is_two_sized(self) -> bool:
        """Whether exemplars hold pixels at a lower resolution."""
        masker = self.config.masker
        return isinstance(masker, LowResMasker) or (isinstance(masker, BoxMasker) and masker.shrink > 0)

    def decide(self, sample: Sample, scores: TokenScores) -> dict[str, Kept]:
        """What to keep of a sample: bool (n,) for its image and text tokens, at least one of each unless there is none.

        Args:
            sample: with its pixels, and the tokens that `scores` speaks of.
            scores: of a model that has learned the sample's class.

        Raises:
            ValueError: scores and tokens differ in number, or scores are not finite.
        """
        _check(sample, scores)
        image, text = sample.tokens.get("image"), sample.tokens.get("text")
        kept: dict[str, Kept] = {}
        if image is not None and len(image):
            key = (self.seed, sample.id)
            picture = Picture(image, exact(scores.class_scores["image"]), self.codecs["image"], key)
            kept["image"] = keep_patches(self.config.masker, picture)
        if text is not None and len(text) and self.config.text_mask != "full":
            dropped = scores.cross[~kept["image"]] if "image" in kept else scores.cross
            kept["text"] = self._words(text, scores.class_scores["text"], dropped)
        return kept

    def apply(self, sample: Sample, kept: Mapping[str, Kept]) -> Sample:
        """The exemplar as it is stored."""
        tokens = {name: part.take(kept[name]) if name in kept else part for name, part in sample.tokens.items()}
        if "image" in kept:
            tokens |= self._other_sizes(sample.tokens["image"], kept["image"])
        return dataclasses.replace(sample, tokens=tokens)

    def coded(self, exemplar: Sample) -> Sample:
        """An exemplar as it comes back from the store: with the errors of its pictures' code."""
        tokens = dict(exemplar.tokens)
        for name in {"image", SURROUND} & set(tokens):
            values = tokens[name].values
            codec = self.codecs[name]
            tokens[name] = dataclasses.replace(tokens[name], values=codec.decode(codec.encode(values), len(values)))
        return dataclasses.replace(exemplar, tokens=tokens)

    def _words(self, text: Tokens, class_scores: NDArray[np.float32], dropped: NDArray[np.float32]) -> Kept:
        """Tokens that the class token attends to, or that the dropped patches do (rows of `dropped`, (m, n))."""
        relevances = [class_scores]
        if self.config.text_mask == "cross_modal" and len(dropped):
            relevances.append(dropped.mean(axis=0, dtype=np.float64))
        kept = keep_words(self.config.masker, relevances)
        return _whole_words(kept, self.continues[text.values]) if self.config.whole_words else kept

    def _other_sizes(self, image: Tokens, kept: Kept) -> dict[str, Tokens]:
        masker = self.config.masker
        if isinstance(masker, LowResMasker):
            return {"image": shrunk(image, masker.shrink)}
        if isinstance(masker, BoxMasker) and masker.shrink and not kept.all():
            return {SURROUND: surround(image, kept, masker.shrink)}
        return {}


def _whole_words(kept: Kept, continues: NDArray[np.bool_]) -> Kept:
    words = np.cumsum(~continues)
    return np.isin(words, words[kept])


def _check(sample: Sample, scores: TokenScores) -> None:
    counts = tuple(len(sample.tokens[name]) if name in sample.tokens else 0 for name in ("image", "text"))
    if scores.cross.shape != counts:
        raise ValueError(f"sample {sample.id}: {counts} image and text tokens, but cross scores {scores.cross.shape}")
    parts: Sequence[NDArray[np.float32]] = (scores.cross, *scores.class_scores.values())
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError(f"sample {sample.id}: scores that are not finite")

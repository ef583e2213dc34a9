"""Exemplars of questions about media: what is stored, and which of the media's tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.cells import token_scores
from dist_mcl.exemplars.codecs import media_codec
from dist_mcl.exemplars.maskers import Picture, exact, keep_patches
from dist_mcl.modalities.image import unpatchify
from dist_mcl.store_config import whole_picture
from dist_mcl.tokens import CellScores, QuestionAnswer, Sample, Tokens
from exemplar_store import Codec, Exemplar, Target, whole_image_bytes


@dataclass(frozen=True)
class QuestionMasking:
    """Makes the sample that is remembered: the same question and answer, with fewer tokens of its media.

    Attributes:
        config: `masker` is read, and what bytes cost.
        seed: the run's; what is drawn depends on it and on the sample's id.
    """

    config: Exemplars
    seed: int

    def __call__(self, sample: Sample, cells: Mapping[str, CellScores]) -> Sample:
        """Drop what the answer does not attend to.

        Args:
            sample: whole, as the store is to have it.
            cells: by modality, how much the answer attends to what is shown of it.
        """
        if self.config.masker.kind == "full":
            return sample
        tokens = {name: self._kept(sample.id, raw, cells[name]) for name, raw in sample.tokens.items()}
        return replace(sample, tokens=tokens)

    def _kept(self, number: int, raw: Tokens, cells: CellScores) -> Tokens:
        spread = exact(token_scores(cells, raw))
        picture = Picture(raw, spread, media_codec(raw, self.config), (self.seed, number))
        return raw.take(keep_patches(self.config.masker, picture))


def media_codecs(sample: Sample, config: Exemplars) -> dict[str, Codec]:
    """The store's codec of each modality, from a sample."""
    return {name: media_codec(tokens, config) for name, tokens in sample.tokens.items()}


def question_exemplar(
    sample: Sample, label: int, rank: int, score: float, whole: Sample, config: Exemplars
) -> Exemplar:
    """What the store keeps of a question: its first answer is the one that is learned from.

    Args:
        sample: masked.
        label: number of its modality, which is what the store knows as a class.
        whole: the same sample with all tokens.
    """
    asked = sample.target
    assert isinstance(asked, QuestionAnswer)
    return Exemplar(
        sample.id,
        label,
        sample.stage,
        rank,
        score,
        sample.tokens,
        baseline_bytes=sum(_picture_bytes(tokens, config) for tokens in whole.tokens.values()),
        target=Target(question=asked.question, answer=asked.answers[0]),
    )


def _picture_bytes(tokens: Tokens, config: Exemplars) -> int:
    """Of a picture as a user would keep it; 0 for other media."""
    if tokens.values.dtype != np.uint8 or tokens.values.ndim != 4 or len(tokens.grid) != 2:
        return 0
    code = whole_picture(config.image_codec)
    return whole_image_bytes(unpatchify(tokens), code.quality, code.subsampling)

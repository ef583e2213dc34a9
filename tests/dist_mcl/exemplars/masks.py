"""Masking without a model's files, for tests."""

from __future__ import annotations

import numpy as np

from dist_mcl.config import Exemplars
from dist_mcl.exemplars import Masking
from dist_mcl.exemplars.resolution import SURROUND
from exemplar_store import Jpeg, TokenIds

VOCABULARY = 30_522


def masking(seed: int = 0, patch: int = 16, continues: list[int] | None = None, **config: object) -> Masking:
    """As an experiment with these fields of `exemplars` has it; `continues` are ids that continue a word."""
    flags = np.zeros(VOCABULARY, dtype=np.bool_)
    flags[continues or []] = True
    pictures = Jpeg(patch=patch)
    codecs = {"image": pictures, SURROUND: pictures, "text": TokenIds.for_vocabulary(VOCABULARY)}
    return Masking(Exemplars(**config), seed, codecs, flags)

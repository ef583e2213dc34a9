"""Masking without a model's files, for tests."""

from __future__ import annotations

import numpy as np

from dist_mcl.config import Exemplars
from dist_mcl.exemplars import Masking
from dist_mcl.exemplars.codecs import codecs_for

VOCABULARY = 30_522


def masking_of(exemplars: Exemplars, seed: int = 0, continues: list[int] | None = None) -> Masking:
    """As an experiment has it; `continues` are ids of text tokens that continue a word."""
    flags = np.zeros(VOCABULARY, dtype=np.bool_)
    flags[continues or []] = True
    return Masking(exemplars, seed, codecs_for(exemplars, VOCABULARY), flags)


def masking(seed: int = 0, continues: list[int] | None = None, **config: object) -> Masking:
    """The same from fields of `exemplars`."""
    return masking_of(Exemplars(**config), seed, continues)

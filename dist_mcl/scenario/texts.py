"""Hard texts: a hint instead of the answer, so that picture and text are both needed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

WORD = re.compile(r"[a-zA-Z]+")
_SUFFIX = re.compile(r"(ies|es|s|ing|ed|y)$")
# Keeps the random numbers for texts apart from those for scenes (`scenes.STREAM`) of the same seed and sample.
STREAM = 1


def stem(word: str) -> str:
    """The lower-case word without its English ending."""
    return _SUFFIX.sub("", word.lower())


def class_stems(class_names: Iterable[str]) -> frozenset[str]:
    """Stems of all words of more than two letters in the class names."""
    return frozenset(stem(word) for name in class_names for word in WORD.findall(name) if len(word) > 2)


def hard_text(text: str, banned: frozenset[str], seed: int, sample_id: int, words: int = 3) -> str:
    """Drop every word whose stem is banned, then keep one random window of `words` words.

    The result is a pure function of the arguments. It is empty when every word is banned.
    """
    kept = [word for word in WORD.findall(text) if stem(word) not in banned]
    if len(kept) > words:
        start = np.random.default_rng([seed, sample_id, STREAM]).integers(len(kept) - words + 1)
        kept = kept[start : start + words]
    return " ".join(kept)

"""Turning stored token ids back into words. The store holds ids only: the vocabulary belongs to the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exemplar_store.errors import StoreError
from exemplar_store.tokens import Tokens

Vocabulary = Mapping[int, str]


def read_vocabulary(path: Path) -> Vocabulary:
    """Words by id from a tokenizer's ``tokenizer.json`` or ``vocab.txt``, or a folder that holds one of them.

    Raises:
        StoreError: there is neither, or it is no vocabulary.
    """
    candidates = [path / "tokenizer.json", path / "vocab.txt"] if path.is_dir() else [path]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise StoreError(f"{path}: no tokenizer.json or vocab.txt; give a tokenizer's folder or one of these files")
    try:
        text = file.read_text("utf-8")
        return _from_json(text) if file.suffix == ".json" else dict(enumerate(text.splitlines()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file}: cannot be read as a vocabulary: {error}") from error


def _from_json(text: str) -> Vocabulary:
    vocabulary = json.loads(text)["model"]["vocab"]
    if isinstance(vocabulary, list):  # Unigram: [word, log probability]
        return {number: str(word) for number, (word, _) in enumerate(vocabulary)}
    return {int(number): str(word) for word, number in vocabulary.items()}


@dataclass(frozen=True)
class Piece:
    """A word of a text, or a run of dropped tokens.

    Attributes:
        word: empty where tokens were dropped: the store does not hold them.
        dropped: number of tokens dropped, 0 for a word.
    """

    word: str
    dropped: int = 0


def pieces(tokens: Tokens, vocabulary: Vocabulary | None) -> list[Piece]:
    """The text of token ids (n,) as words and gaps between them; ``#id`` without a vocabulary."""
    found: list[Piece] = []
    expected = 0
    for position, number in zip(tokens.positions.tolist(), tokens.values.tolist(), strict=True):
        if position != expected:
            found.append(Piece("", position - expected))
        word = f"#{number}" if vocabulary is None else vocabulary.get(number, f"#{number}")
        if word.startswith("##") and found and found[-1].word:  # goes on with the word before it
            found[-1] = Piece(found[-1].word + word[2:])
        else:
            found.append(Piece(word.removeprefix("##").lstrip("Ġ▁")))
        expected = position + 1
    if expected != tokens.grid[0]:
        found.append(Piece("", tokens.grid[0] - expected))
    return found

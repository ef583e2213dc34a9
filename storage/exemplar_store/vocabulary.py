"""Turning stored token ids back into words. The store holds ids only: the vocabulary belongs to the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from exemplar_store.errors import StoreError
from exemplar_store.tokens import Tokens

Vocabulary = Mapping[int, str]
GAP = "…"


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


def words(tokens: Tokens, vocabulary: Vocabulary | None) -> str:
    """The kept tokens of a text (ids (n,)) in a line, ``…`` where tokens were dropped, ``#id`` without a vocabulary."""
    pieces: list[str] = []
    expected = 0
    for position, number in zip(tokens.positions.tolist(), tokens.values.tolist(), strict=True):
        if position != expected:
            pieces.append(f" {GAP}")
        word = f"#{number}" if vocabulary is None else vocabulary.get(number, f"#{number}")
        pieces.append(word[2:] if word.startswith("##") else " " + word.lstrip("Ġ▁"))
        expected = position + 1
    if expected != tokens.grid[0]:
        pieces.append(f" {GAP}")
    return "".join(pieces).strip()

"""Turning stored token ids back into words. The store holds ids only: the vocabulary belongs to the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """A word of a text, or a run of dropped tokens whose words are not known: the store does not hold them.

    Attributes:
        word: empty where it is not known.
        dropped: number of tokens dropped, 0 for what was kept.
        goes_on: it is the rest of the word before it, of which a part was dropped and a part was kept.
    """

    word: str
    dropped: int = 0
    goes_on: bool = False


@dataclass(frozen=True)
class Words:
    """Everything that turns the token ids of exemplars into words.

    Attributes:
        vocabulary: words by id; None to write ``#id``.
        texts: the whole texts as vocabulary entries by sample id, where they are known: then dropped words have names.
    """

    vocabulary: Vocabulary | None = None
    texts: Mapping[int, list[str]] = field(default_factory=dict)

    def pieces(self, tokens: Tokens, sample_id: int) -> list[Piece]:
        """The text of token ids (n,) as kept words, and dropped ones between them.

        Raises:
            StoreError: the whole text has another number of tokens.
        """
        whole = self.texts.get(sample_id)
        if whole is not None and len(whole) != tokens.grid[0]:
            raise StoreError(
                f"sample {sample_id}: its text has {len(whole)} tokens, in the store it has {tokens.grid[0]}; give the "
                "tokenizer and the texts that the exemplars were made with"
            )
        found: list[Piece] = []
        expected = 0
        for position, number in zip(tokens.positions.tolist(), tokens.values.tolist(), strict=True):
            _append_dropped(found, whole, expected, position)
            _append(found, self._entry(number), 0)
            expected = position + 1
        _append_dropped(found, whole, expected, tokens.grid[0])
        return found

    def _entry(self, number: int) -> str:
        return f"#{number}" if self.vocabulary is None else self.vocabulary.get(number, f"#{number}")


def _append_dropped(found: list[Piece], whole: list[str] | None, begin: int, end: int) -> None:
    if whole is not None:
        for entry in whole[begin:end]:
            _append(found, entry, 1)
    elif begin < end:
        found.append(Piece("", end - begin))


def _append(found: list[Piece], entry: str, dropped: int) -> None:
    goes_on = entry.startswith("##") and bool(found) and bool(found[-1].word)  # WordPiece
    if goes_on and found[-1].dropped == dropped:
        found[-1] = Piece(found[-1].word + entry[2:], dropped, found[-1].goes_on)
    else:
        found.append(Piece(entry.removeprefix("##").lstrip("Ġ▁"), dropped, goes_on))


def read_words(tokenizer: Path | None, texts: Path | None) -> Words:
    """What `Words` needs, from the files that the user gives.

    Raises:
        StoreError: as `read_vocabulary` and `read_texts`, or there are texts without a tokenizer.
    """
    if tokenizer is None:
        if texts is not None:
            raise StoreError(f"--texts {texts}: needs --tokenizer, which makes tokens of them")
        return Words()
    return Words(read_vocabulary(tokenizer), {} if texts is None else read_texts(texts, tokenizer))


def read_texts(path: Path, tokenizer_path: Path) -> dict[int, list[str]]:
    """Whole texts, as vocabulary entries by sample id, from JSON lines with ``text`` and ``sample_id``.

    Raises:
        StoreError: a file cannot be read, or a line has neither.
    """
    tokenizer = read_tokenizer(tokenizer_path / "tokenizer.json" if tokenizer_path.is_dir() else tokenizer_path)
    texts = {}
    try:
        for number, row in enumerate(path.read_text("utf-8").splitlines()):
            record = json.loads(row)
            encoded = tokenizer.encode(str(record["text"]), add_special_tokens=False)
            texts[int(record.get("sample_id", number))] = list(encoded.tokens)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f'{path}: needs lines such as {{"sample_id": 7, "text": "..."}}: {error!r}') from error
    return texts


def read_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` that neither pads nor cuts.

    Raises:
        StoreError: the file cannot be read or is no tokenizer.json.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except Exception as error:  # tokenizers raises a bare Exception for every malformed file
        raise StoreError(f"{path}: not a tokenizer.json: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer

"""Texts as token ids without special tokens: a backbone adds its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import BertWordPieceTokenizer, Tokenizer

from dist_mcl.errors import UserError
from dist_mcl.tokens import Tokens

_CONTINUES = "##"  # begins a WordPiece that is not the first of its word


class TextTokenizer:
    """The tokenizer of a Hugging Face model.

    Args:
        folder: the folder of a pretrained model; must hold `tokenizer.json`, or the `vocab.txt` of a WordPiece
            tokenizer.
        longest: tokens that are kept of a longer text, its first ones; all when left out.

    Raises:
        UserError: the folder has no readable tokenizer.
    """

    def __init__(self, folder: Path, longest: int | None = None) -> None:
        path = folder / "tokenizer.json"
        vocabulary = folder / "vocab.txt"
        try:
            if not path.exists() and vocabulary.exists():
                path = vocabulary
                self._tokenizer = _from_vocabulary(vocabulary)
            else:
                self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot read the tokenizer: {error.strerror}; run `mcl models fetch`") from error
        except Exception as error:  # tokenizers raises a bare Exception for every malformed file
            raise UserError(f"{path}: not a tokenizer file ({error}); delete it and run `mcl models fetch`") from error
        # The files of sentence encoders pad and cut; here ragged texts stay ragged, and `longest` alone cuts them.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._longest = longest

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return int(self._tokenizer.get_vocab_size())

    @cached_property
    def continues(self) -> NDArray[np.bool_]:
        """By token id: whether the token continues the word that the one before it belongs to."""
        pieces = self._tokenizer.get_vocab()
        continues = np.zeros(max(pieces.values()) + 1, dtype=np.bool_)
        continues[[number for piece, number in pieces.items() if piece.startswith(_CONTINUES)]] = True
        return continues

    def id_of(self, piece: str) -> int:
        """The id of a vocabulary entry, such as a special token.

        Raises:
            UserError: the vocabulary lacks it.
        """
        number = self._tokenizer.token_to_id(piece)
        if number is None:
            raise UserError(f"the tokenizer's vocabulary has no {piece!r}; the backbone needs one that has")
        return int(number)

    def encode(self, text: str) -> Tokens:
        """Token ids of a text: values int32 (n,) on the grid (n,); n is 0 for an empty text."""
        found = self._tokenizer.encode(text, add_special_tokens=False).ids[: self._longest]
        ids = np.array(found, dtype=np.int32)
        return Tokens.full(ids, ids.shape)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, as near to the original as the vocabulary allows."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def pieces(self, tokens: Tokens) -> list[str | None]:
        """The vocabulary entry of each kept token, None for an id outside the vocabulary."""
        return [self._tokenizer.id_to_token(int(token)) for token in tokens.values]


def _from_vocabulary(path: Path) -> Tokenizer:
    """The tokenizer of checkpoints from before `tokenizer.json`."""
    config = path.with_name("tokenizer_config.json")
    settings = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    made = BertWordPieceTokenizer(str(path), lowercase=bool(settings.get("do_lower_case", True)))
    return Tokenizer.from_str(made.to_str())

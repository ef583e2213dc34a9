"""Texts as token ids without special tokens: a backbone adds its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from dist_mcl.errors import UserError
from dist_mcl.tokens import Tokens


class TextTokenizer:
    """A tokenizer read from a Hugging Face `tokenizer.json`.

    Args:
        folder: the folder of a pretrained model; must hold `tokenizer.json`.
        longest: tokens that are kept of a longer text, its first ones; all when left out.

    Raises:
        UserError: the folder has no readable tokenizer.
    """

    def __init__(self, folder: Path, longest: int | None = None) -> None:
        self._longest = longest
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot read the tokenizer: {error.strerror}; run `mcl models fetch`") from error
        except Exception as error:  # tokenizers raises a bare Exception for every malformed file
            raise UserError(f"{path}: not a tokenizer file ({error}); delete it and run `mcl models fetch`") from error
        # The files of sentence encoders pad and cut; here ragged texts stay ragged, and `longest` alone cuts them.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> Tokens:
        """Token ids of a text: values int32 (n,) on the grid (n,); n is 0 for an empty text, and at most `longest`."""
        ids = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids[: self._longest], dtype=np.int32)
        return Tokens.full(ids, ids.shape)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, as near to the original as the vocabulary allows."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def pieces(self, tokens: Tokens) -> list[str | None]:
        """The vocabulary entry of each kept token, None for an id outside the vocabulary."""
        return [self._tokenizer.id_to_token(int(token)) for token in tokens.values]

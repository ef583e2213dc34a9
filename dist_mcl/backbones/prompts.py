"""Prompts: words, and the places of media tokens among them.

A prompt is a template such as `"<user> {media}{question} <assistant>"`, in which `{media}` becomes, for each modality
of a sample, a cue in words and then the modality's block of tokens. Sequences of a batch are padded on their left, so
that all of them end at the same place, where an answer begins. A media token that was dropped is not there, and the
others keep the positions which they have in the whole sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dist_mcl.errors import UserError

_MEDIA, _QUESTION = "{media}", "{question}"


@dataclass(frozen=True)
class MediaTokens:
    """One modality of a batch of B samples, as the language model takes it.

    Attributes:
        embeddings: (n, width), sample after sample.
        sample: (n,) int64, ascending: the row of the batch that each token belongs to.
        positions: (n,) int64: place of each token in its sample's whole block.
        grids: (B, axes) int64: grid of each sample's whole block; zeros where a sample lacks the modality.
    """

    embeddings: Tensor
    sample: Tensor
    positions: Tensor
    grids: Tensor

    @property
    def lengths(self) -> Tensor:
        """(B,) int64: places of each sample's whole block."""
        return self.grids.prod(1)

    def places(self) -> tuple[Tensor, ...]:
        """The positions of each sample's tokens."""
        return self.positions.split(torch.bincount(self.sample, minlength=len(self.grids)).tolist())


@dataclass(frozen=True)
class PaddedSequences:
    """B sequences of L places, padded on their left.

    Attributes:
        ids: (B, L) int64 token ids; 0 where there is padding or a media token.
        mask: (B, L) int64, 0 where there is padding.
        positions: (B, L) int64 positions for the language model.
        media: by modality, (B, L) bool: where its tokens are.
        predicts: (B, L) bool: the places whose next token is one of an answer.
        answers: (n,) int64: those next tokens, row after row.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    media: dict[str, Tensor]
    predicts: Tensor
    answers: Tensor

    def fill(self, words: Tensor, media: Mapping[str, MediaTokens]) -> Tensor:
        """The embeddings (B, L, width) of words at all places, with those of media where these are."""
        filled = words
        for name, where in self.media.items():
            filled = filled.masked_scatter(where[..., None], media[name].embeddings.to(words.dtype))
        return filled


class Prompter:
    """Makes the sequences of a batch.

    Args:
        tokenizer: of the language model.
        template: text with `{media}` and `{question}`; the tokenizer's own chat template when left out.
        cues: by modality, what is said before its tokens, such as "image: ".

    Raises:
        UserError: the template lacks one of its two places, or is left out and the tokenizer has none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None, cues: Mapping[str, str]) -> None:
        self._tokenizer = tokenizer
        self._cues = dict(cues)
        whole = template if template is not None else _chat_template(tokenizer)
        if whole.count(_MEDIA) != 1 or whole.count(_QUESTION) != 1 or whole.index(_QUESTION) < whole.index(_MEDIA):
            says = f"{whole!r}" if template is not None else f"left out, and the tokenizer's own template is {whole!r}"
            raise UserError(f"model.backbone.prompt: {says}; write {_MEDIA} once and then {_QUESTION} once")
        self._before, rest = whole.split(_MEDIA)
        self._between, self._after = rest.split(_QUESTION)
        # Templates, cues, and most questions and answers come again and again.
        self._ids = lru_cache(maxsize=2**14)(self._cut)

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self._tokenizer.eos_token_id)

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer, with the one that ends it."""
        return [*self._ids(text), self.end]

    def read(self, ids: Tensor) -> list[str]:
        """The texts of generated ids (B, n), without what follows their ends."""
        return [text.strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def sequences(
        self, media: Mapping[str, MediaTokens], questions: Sequence[str], answers: Sequence[str] | None = None
    ) -> PaddedSequences:
        """Lay out a batch, its media in the order given.

        Args:
            media: by modality; all of the same B samples.
            questions: B texts.
            answers: B texts that follow the prompts; none when left out.
        """
        rows = list(self._rows(media, questions, answers))
        width = max(len(row.ids) for row in rows)

        def padded(name: str, of: torch.dtype = torch.int64) -> Tensor:
            table = torch.zeros(len(rows), width, dtype=of)
            for line, row in zip(table, rows, strict=True):
                values = getattr(row, name)
                line[width - len(values) :] = torch.tensor(values, dtype=of)
            return table.to(device)

        device = next(iter(media.values())).sample.device if media else torch.device("cpu")
        kinds = padded("kinds")
        return PaddedSequences(
            ids=padded("ids"),
            mask=(kinds > 0).long(),
            positions=padded("positions"),
            media={name: kinds == _FIRST_MEDIUM + number for number, name in enumerate(media)},
            predicts=padded("predicts", torch.bool),
            answers=torch.tensor([token for row in rows for token in row.answer], device=device),
        )

    def _rows(
        self, media: Mapping[str, MediaTokens], questions: Sequence[str], answers: Sequence[str] | None
    ) -> Iterator[_Row]:
        split = {name: [part.tolist() for part in tokens.places()] for name, tokens in media.items()}
        lengths = {name: tokens.lengths.tolist() for name, tokens in media.items()}
        for number, question in enumerate(questions):
            row = _Row()
            row.say(self._ids(self._before))
            for kind, name in enumerate(media, start=_FIRST_MEDIUM):
                if lengths[name][number]:
                    row.say(self._ids(self._cues.get(name, "")))
                    row.show(kind, split[name][number], lengths[name][number])
            row.say(self._ids(self._between + question + self._after))
            if answers is not None:
                row.learn(self.answer(answers[number]))
            yield row

    def _cut(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)


_PADDING, _WORD, _FIRST_MEDIUM = 0, 1, 2  # kinds of places


class _Row:
    """One sequence in the making."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.kinds: list[int] = []
        self.positions: list[int] = []
        self.predicts: list[bool] = []
        self.answer: list[int] = []
        self._position = 0

    def say(self, ids: Sequence[int]) -> None:
        self._add(ids, _WORD, range(len(ids)), len(ids))

    def show(self, kind: int, places: Sequence[int], length: int) -> None:
        self._add([0] * len(places), kind, places, length)

    def learn(self, answer: Sequence[int]) -> None:
        self.say(answer)
        self.predicts[-len(answer) - 1 :] = [*([True] * len(answer)), False]
        self.answer = list(answer)

    def _add(self, ids: Sequence[int], kind: int, places: Sequence[int], length: int) -> None:
        self.ids += ids
        self.kinds += [kind] * len(ids)
        self.positions += [self._position + place for place in places]
        self.predicts += [False] * len(ids)
        self._position += length


def _chat_template(tokenizer: PreTrainedTokenizerBase) -> str:
    if tokenizer.chat_template is None:
        raise UserError("the language model's tokenizer has no chat template; say model.backbone.prompt")
    turn = [{"role": "user", "content": _MEDIA + _QUESTION}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))

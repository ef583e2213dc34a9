"""Endless training batches: pictures with their own words, with another's words, pictures alone, words alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Queue
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dist_mcl.backbones.pretraining.compose import compose, patches
from dist_mcl.backbones.pretraining.objective import Targets
from dist_mcl.backbones.pretraining.teachers import SentenceTeacher
from dist_mcl.backbones.pretraining.things import Things
from dist_mcl.tokens import Batch, Sample, Tokens

# Shares of the batch; the rest is words alone.
_OWN_WORDS, _OTHER_WORDS, _NO_WORDS = 0.4, 0.25, 0.2
_LONGEST, _WINDOW, _WINDOWED, _THINNED = 12, 3, 0.7, 0.1
_AHEAD = 6
_UNUSED_STEPS = (10**6, 10**6 + 1)


@dataclass(frozen=True)
class Lesson:
    """A batch and what the teachers say of it."""

    batch: Batch
    targets: Targets


class Stream:
    """Batches drawn by weight from the items; each depends on the seed, its number and the rank alone.

    Args:
        things: what is drawn.
        photographs: backgrounds.
        picture_targets: (N, size), the picture teacher's reduced features of each thing.
        teacher: of sentences.
        batch_size: samples of a batch.
        seed: of all draws.
        rank: processes of different rank draw different batches.
    """

    def __init__(
        self,
        things: Things,
        photographs: Sequence[Image.Image],
        picture_targets: Tensor,
        teacher: SentenceTeacher,
        batch_size: int,
        seed: int,
        rank: int,
    ) -> None:
        self._drawings, self._photographs = things.drawings, photographs
        self._words = [words.split()[:_LONGEST] for words in things.words]
        self._picture_targets, self._teacher = picture_targets, teacher
        self._meanings = teacher.embed_all([teacher.ids(" ".join(words)) for words in self._words])
        self._cumulated = np.cumsum(things.weights / things.weights.sum())
        self._batch_size, self._seed, self._rank = batch_size, seed, rank

    def lessons(self, steps: int) -> Iterator[Lesson]:
        """The first `steps` batches; a thread prepares the next ones meanwhile."""
        queue: Queue[_Draft] = Queue(_AHEAD)

        def feed() -> None:
            for step in range(steps):
                queue.put(self._draft(step, self._rank))

        Thread(target=feed, daemon=True).start()
        for _ in range(steps):
            yield self._finish(queue.get())

    def sample_patches(self) -> Tensor:
        """Patches of pictures that no lesson has, uint8 (n, 16, 16, 3); the same on every rank."""
        drawn = [one for step in _UNUSED_STEPS for one in self._draft(step, rank=0).drawn]
        return Batch.collate([one.sample for one in drawn]).tokens["image"].values

    def _draft(self, step: int, rank: int) -> _Draft:
        rng = np.random.default_rng([self._seed, step, rank])
        return _Draft([self._draw(number, rng) for number in range(self._batch_size)])

    def _draw(self, number: int, rng: np.random.Generator) -> _Drawn:
        seen, kind = self._pick(rng), rng.random()
        own, other = kind < _OWN_WORDS, _OWN_WORDS <= kind < _OWN_WORDS + _OTHER_WORDS
        alone = not own and not other and kind < _OWN_WORDS + _OTHER_WORDS + _NO_WORDS
        spoken = self._pick(rng) if other else seen
        tokens = {}
        if own or other or alone:
            scene = compose(self._drawings[seen], self._photographs, rng)
            tokens["image"] = patches(scene, rng)
        ids = [] if alone else self._teacher.ids(" ".join(_window(self._words[spoken], rng)))
        if ids:
            tokens["text"] = _thinned(ids, rng)
        return _Drawn(Sample(tokens, 0, number, 1), seen, ids, own and bool(ids))

    def _pick(self, rng: np.random.Generator) -> int:
        return int(np.searchsorted(self._cumulated, rng.random()))

    def _finish(self, draft: _Draft) -> Lesson:
        drawn = draft.drawn
        seen = torch.tensor([one.item for one in drawn])
        has_text = torch.tensor([bool(one.ids) for one in drawn])
        sentence = torch.zeros(len(drawn), self._meanings.shape[1])
        sentence[has_text] = self._teacher([one.ids for one in drawn if one.ids])
        targets = Targets(
            picture=self._picture_targets[seen],
            sentence=sentence,
            meaning=self._meanings[seen],
            has_picture=torch.tensor(["image" in one.sample.tokens for one in drawn]),
            has_text=has_text,
            own_text=torch.tensor([one.own for one in drawn]),
        )
        return Lesson(Batch.collate([one.sample for one in drawn]), targets)


@dataclass(frozen=True)
class _Drawn:
    sample: Sample
    item: int
    ids: list[int]
    own: bool


@dataclass(frozen=True)
class _Draft:
    drawn: list[_Drawn]


def _window(words: list[str], rng: np.random.Generator) -> list[str]:
    if rng.random() >= _WINDOWED or len(words) <= _WINDOW:
        return words
    start = int(rng.integers(len(words) - _WINDOW + 1))
    return words[start : start + _WINDOW]


def _thinned(ids: list[int], rng: np.random.Generator) -> Tokens:
    values: NDArray[np.int32] = np.array(ids, np.int32)
    tokens = Tokens.full(values, (len(ids),))
    if rng.random() >= _THINNED or len(ids) <= 2:
        return tokens
    return tokens.take(np.sort(rng.permutation(len(ids))[: rng.integers(1, len(ids))]))

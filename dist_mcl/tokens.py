"""Tokens, Sample and Batch: the one data type that fresh samples and exemplars share; TokenScores: what matters in one.

The tokens of each modality (d is float16; `dist_mcl.modalities` makes them, FORMAT.md section 5.2 stores them):

| modality | values | grid |
| --- | --- | --- |
| image | uint8 (n, p, p, 3): patches, RGB | rows, columns |
| video | uint8 (n, t, p, p, 3): tubelets, t frames of a patch | times, rows, columns |
| audio | d (n, b, f): patches of a log-mel spectrogram, b bins by f frames, lowest bin first | bins / b, frames / f |
| depth | uint16 (n, p, p): patches of a map of distances, 0 where nothing was measured | rows, columns |
| point_cloud | d (n, 1 + g, 3): the centre of a group, then its g points relative to the centre | groups |
| text | int32 (n,): token ids, without special tokens | tokens |
| any other | d (n, channels): vectors | vectors; or units, vectors of a unit |

An exemplar is a `Sample` with fewer tokens. A `Batch` holds ragged samples packed one after the other, so tokens that
were dropped cost nothing in any layer that works token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dist_mcl.answer_config import Generation
from exemplar_store import Tokens

if TYPE_CHECKING:  # seconds to import; who reads samples, or writes them down, makes no batch of them
    import torch
    from torch import Tensor

__all__ = ["Batch", "CellScores", "PackedTokens", "QuestionAnswer", "Sample", "TokenScores", "Tokens"]


@dataclass(frozen=True)
class QuestionAnswer:
    """What a model is asked about a sample, and what is right to say.

    Attributes:
        question: as a person puts it, e.g. "What kind of object is this?".
        answers: every right answer, e.g. the five captions of a clip; the first one is learned from. With `votes` what
            people answered, one answer each: equal ones are repeated, and not all of them need be right.
        candidates: the answers among which one is to be chosen; empty where the model answers freely.
        task: the kind of question, e.g. "category" or "caption"; scores are kept apart by it.
        votes: whether answers are those of several people, to be scored by VQA accuracy (arXiv 1505.00468).
        generation: how a free answer is generated; as `evaluation.generation` says where it is None.
        names: by what each candidate is known in a free answer, as "dog" of "an audio of dog"; by all of its words when
            empty.

    Raises:
        ValueError: no answer, a first answer that is no candidate, not a name for each candidate, or votes of fewer
            than two people.
    """

    question: str
    answers: tuple[str, ...]
    candidates: tuple[str, ...] = ()
    task: str = ""
    votes: bool = False
    generation: Generation | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.answers:
            raise ValueError(f"the question {self.question!r} needs at least one answer")
        if self.candidates and self.answers[0] not in self.candidates:
            raise ValueError(f"the answer {self.answers[0]!r} is none of the {len(self.candidates)} candidates")
        if self.names and len(self.names) != len(self.candidates):
            raise ValueError(f"{len(self.names)} names for {len(self.candidates)} candidates")
        if self.votes and len(self.answers) < 2:
            raise ValueError(f"votes on the question {self.question!r} need the answers of at least two people")


@dataclass(frozen=True)
class Sample:
    """One item to learn from: its tokens by modality and what they mean.

    Attributes:
        tokens: tokens by modality name ("image", "text", ...); a modality that is missing has no entry.
        target: class id, as the dataset numbers its classes; or a question with its answers.
        id: the dataset's stable number of this sample.
        stage: the stage (from 1) that brought the sample.
        logits: float16 (c,), what the model of that stage answered to the whole sample, for the c classes seen by
            then; None where that is not kept. No backbone sees it.
        prepared: modalities whose tokens are features that a backbone's `prepare` has made; none of a fresh sample.
    """

    tokens: dict[str, Tokens]
    target: int | QuestionAnswer
    id: int
    stage: int
    logits: NDArray[np.float16] | None = field(default=None, compare=False)
    prepared: frozenset[str] = frozenset()

    @property
    def class_id(self) -> int:
        """The target of a sample that has a class. Raises TypeError where it has a question instead."""
        if isinstance(self.target, QuestionAnswer):
            raise TypeError(f"sample {self.id} has no class, it has the question {self.target.question!r}")
        return self.target


@dataclass(frozen=True, eq=False)
class TokenScores:
    """How much attention the tokens of one sample got, arXiv 2412.09549. Special tokens are not among them.

    Attributes:
        class_scores: by modality, float32 (n,): attention from the class token to each token of the sample.
        cross: float32 (n_image, n_text): attention from image token i to text token j; (n_image, 0) or (0, n_text)
            where the sample lacks a modality.
    """

    class_scores: dict[str, NDArray[np.float32]]
    cross: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CellScores:
    """How much attention the cells of one medium got: what a language model is shown of it, on a grid of its own.

    Attributes:
        values: float32 (m,), of the cells that there are.
        positions: int64 (m,), their flat positions on `grid`.
        grid: covers the medium as its tokens' grid does. Its axes are the last ones of that; along others, such as the
            bins of a spectrogram whose cells are moments, tokens share a cell.
    """

    values: NDArray[np.float32]
    positions: NDArray[np.int64]
    grid: tuple[int, ...]


@dataclass(frozen=True)
class PackedTokens:
    """All tokens of one modality of a batch, sample after sample.

    Attributes:
        values: (T, *token_shape), the storage dtype.
        positions: (T,) int64, index of each token in its sample's full grid.
        sample: (T,) int64, ascending: the row of the batch that each token belongs to.
        grids: (B, grid rank) int64, each sample's full token grid; zeros where the sample lacks the modality.
    """

    values: Tensor
    positions: Tensor
    sample: Tensor
    grids: Tensor

    def to(self, device: torch.device | str) -> PackedTokens:
        return PackedTokens(*(tensor.to(device) for tensor in vars(self).values()))


@dataclass(frozen=True)
class Batch:
    """B samples of different lengths, packed.

    Attributes:
        tokens: packed tokens by modality; only modalities that at least one sample has.
        targets: (B,) int64 class ids; (0,) where samples have questions.
        ids: (B,) int64 sample ids.
        questions: B questions with their answers, as text: a backbone has its own tokenizer; () where samples have
            classes.
        prepared: modalities whose tokens are features, see `Sample`.
    """

    tokens: dict[str, PackedTokens]
    targets: Tensor
    ids: Tensor
    questions: tuple[QuestionAnswer, ...] = ()
    prepared: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        tokens = {name: packed.to(device) for name, packed in self.tokens.items()}
        return replace(self, tokens=tokens, targets=self.targets.to(device), ids=self.ids.to(device))

    @classmethod
    def collate(cls, samples: Sequence[Sample]) -> Batch:
        """Pack samples in the order given.

        Raises:
            ValueError: no samples, samples whose tokens of one modality differ in shape or dtype, prepared ones among
                raw ones, or classes among questions.
        """
        if not samples:
            raise ValueError("a batch needs at least one sample")
        import torch

        names = sorted({name for sample in samples for name in sample.tokens})
        questions = tuple(sample.target for sample in samples if isinstance(sample.target, QuestionAnswer))
        if questions and len(questions) < len(samples):
            raise ValueError(f"{len(questions)} of {len(samples)} samples have questions; a batch has them all or none")
        return cls(
            tokens={name: _pack([sample.tokens.get(name) for sample in samples]) for name in names},
            targets=torch.tensor([] if questions else [sample.class_id for sample in samples], dtype=torch.int64),
            ids=torch.tensor([sample.id for sample in samples]),
            questions=questions,
            prepared=frozenset(name for name in names if _are_prepared(name, samples)),
        )


def _are_prepared(modality: str, samples: Sequence[Sample]) -> bool:
    found = {modality in sample.prepared for sample in samples if modality in sample.tokens}
    if len(found) > 1:
        raise ValueError(f"{modality}: prepared samples and raw ones; a batch has either")
    return found.pop()


def _pack(tokens: list[Tokens | None]) -> PackedTokens:
    import torch

    present = [item for item in tokens if item is not None]
    rank = len(present[0].grid)
    counts = [0 if item is None else len(item.positions) for item in tokens]
    return PackedTokens(
        values=torch.from_numpy(np.concatenate([item.values for item in present])),
        positions=torch.from_numpy(np.concatenate([item.positions for item in present])),
        sample=torch.repeat_interleave(torch.arange(len(tokens)), torch.tensor(counts)),
        grids=torch.tensor([(0,) * rank if item is None else item.grid for item in tokens]),
    )

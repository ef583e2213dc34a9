"""Tokens, Sample and Batch: the one data type that fresh samples and exemplars share; TokenScores: what matters in one.

An exemplar is a `Sample` with fewer tokens. A `Batch` holds ragged samples packed one after the other, so tokens that
were dropped cost nothing in any layer that works token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exemplar_store import Tokens

if TYPE_CHECKING:  # seconds to import; who reads samples, or writes them down, makes no batch of them
    import torch
    from torch import Tensor

__all__ = ["Batch", "PackedTokens", "Sample", "TokenScores", "Tokens"]


@dataclass(frozen=True)
class Sample:
    """One item to learn from: its tokens by modality and what they mean.

    Attributes:
        tokens: tokens by modality name ("image", "text", ...); a modality that is missing has no entry.
        target: class id, as the dataset numbers its classes.
        id: the dataset's stable number of this sample.
        stage: the stage (from 1) that brought the sample.
        logits: float16 (c,), what the model of that stage answered to the whole sample, for the c classes seen by
            then; None where that is not kept. No backbone sees it.
    """

    tokens: dict[str, Tokens]
    target: int
    id: int
    stage: int
    logits: NDArray[np.float16] | None = field(default=None, compare=False)


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
        targets: (B,) int64 class ids.
        ids: (B,) int64 sample ids.
    """

    tokens: dict[str, PackedTokens]
    targets: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Batch:
        tokens = {name: packed.to(device) for name, packed in self.tokens.items()}
        return Batch(tokens, self.targets.to(device), self.ids.to(device))

    @classmethod
    def collate(cls, samples: Sequence[Sample]) -> Batch:
        """Pack samples in the order given.

        Raises:
            ValueError: no samples, or samples whose tokens of one modality differ in shape or dtype.
        """
        if not samples:
            raise ValueError("a batch needs at least one sample")
        import torch

        names = sorted({name for sample in samples for name in sample.tokens})
        return cls(
            tokens={name: _pack([sample.tokens.get(name) for sample in samples]) for name in names},
            targets=torch.tensor([sample.target for sample in samples]),
            ids=torch.tensor([sample.id for sample in samples]),
        )


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

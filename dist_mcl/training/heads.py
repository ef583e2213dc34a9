"""Classifying heads whose rows are appended stage by stage; the old rows keep their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

_FIRST_SCALE = 16.0  # logits of -16 to 16 can say a class of hundreds with certainty


class GrowingHead(nn.Module, ABC):
    """A row of weights for each class seen so far.

    Args:
        features: width of the backbone's pooled features.

    Attributes:
        old_rows: how many rows there were before it last grew.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, features))
        self.old_rows = 0

    def grow(self, rows: int, seed: int) -> None:
        """Append `rows` rows drawn from N(0, 0.02)."""
        generator = torch.Generator().manual_seed(seed)
        new = torch.randn(rows, self.weight.shape[1], generator=generator) * 0.02
        self.old_rows = len(self.weight)
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), new]))

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, rows) logits."""


class LinearHead(GrowingHead):
    """Logits by weight and bias."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.bias = nn.Parameter(torch.empty(0))

    def grow(self, rows: int, seed: int) -> None:
        super().grow(rows, seed)
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(rows)]))

    def forward(self, features: Tensor) -> Tensor:
        return linear(features, self.weight, self.bias)

    @torch.no_grad()
    def align_new_rows(self) -> None:
        """Multiply what the new rows say by the mean length of the old rows over that of the new.

        Weight aligning, arXiv 1911.07053, section 4.2: rows of classes that came often are longer, which favours them.
        """
        lengths = self.weight.norm(dim=1)
        factor = lengths[: self.old_rows].mean() / lengths[self.old_rows :].mean()
        self.weight[self.old_rows :] *= factor
        self.bias[self.old_rows :] *= factor


class CosineHead(GrowingHead):
    """Logits by the cosine of features and weights, times one learned factor: LUCIR's head (CVPR 2019), section 3.2.

    No row can win by being longer than the others.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.scale = nn.Parameter(torch.tensor([_FIRST_SCALE]))

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * linear(normalize(features), normalize(self.weight))


HEADS: dict[str, type[GrowingHead]] = {"linear": LinearHead, "cosine": CosineHead}

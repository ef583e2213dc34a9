"""Distillation of two teachers into the pooled class token, through linear heads that are thrown away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TEMPERATURE = 0.07


@dataclass(frozen=True)
class Targets:
    """What the teachers say of a batch of B samples.

    Attributes:
        picture: (B, picture size), the reduced features of the object, clean; zeros where there is no picture.
        sentence: (B, 384), unit-length embedding of the text that the sample has; zeros where there is none.
        meaning: (B, 384), unit-length embedding of the whole description of the object in the picture.
        has_picture: (B,) bool.
        has_text: (B,) bool.
        own_text: (B,) bool, the text speaks of the object in the picture.
    """

    picture: Tensor
    sentence: Tensor
    meaning: Tensor
    has_picture: Tensor
    has_text: Tensor
    own_text: Tensor


class Heads(nn.Module):
    """Linear predictions of the teachers' targets from the pooled features (B, hidden)."""

    def __init__(self, hidden: int, picture: int, sentence: int) -> None:
        super().__init__()
        self.picture = nn.Linear(hidden, picture)
        self.patches = nn.Linear(hidden, picture)
        self.sentence = nn.Linear(hidden, sentence)
        self.meaning = nn.Linear(hidden, sentence)

    def forward(self, pooled: Tensor, patches: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The parts of the loss, each a scalar.

        `picture`: squared error, 1 for predicting the mean. `patches`: the same from the mean of the image tokens'
        last states (B, hidden), which learn first. `sentence`: 1 - cosine. `meaning`: contrast of the
        object's description with those of the batch's other objects, for pictures without their own text, whose
        meaning can only be seen.
        """
        seen = targets.has_picture & ~targets.own_text
        error = (self.picture(pooled) - targets.picture).square().sum(1)
        patch_error = (self.patches(patches) - targets.picture).square().sum(1)
        cosine = F.cosine_similarity(self.sentence(pooled), targets.sentence, dim=1)
        return {
            "picture": error[targets.has_picture].mean(),
            "patches": patch_error[targets.has_picture].mean(),
            "sentence": (1 - cosine[targets.has_text]).mean(),
            "meaning": _contrast(self.meaning(pooled[seen]), targets.meaning[seen]),
        }


def _contrast(predicted: Tensor, truth: Tensor) -> Tensor:
    logits = F.normalize(predicted, dim=1) @ truth.T / _TEMPERATURE
    # Equal descriptions are equally right.
    same = (truth @ truth.T > 0.999).float()
    return torch.sum(-F.log_softmax(logits, 1) * same / same.sum(1, keepdim=True), 1).mean()

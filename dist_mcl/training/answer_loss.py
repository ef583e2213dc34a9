"""What is minimised where answers are learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dist_mcl.exemplars.replay import Entry
from dist_mcl.tokens import Batch
from dist_mcl.training.learner import Pool


@dataclass(frozen=True)
class AnswerLoss:
    """Cross-entropy of the answers' tokens, the mean over all of a micro-batch. Prompts carry no loss."""

    pool: Pool
    device: torch.device

    def __call__(self, forward: Callable[[Batch], Any], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch; `forward` is an `Answerer`'s."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.device)
        sums, counts = forward(batch)
        total: Tensor = sums.sum() / counts.sum()
        return total

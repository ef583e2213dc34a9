"""One global batch after the other through the engine, in either of two ways to add up the gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dist_mcl.config import Training
from dist_mcl.exemplars import stripe, swap_text
from dist_mcl.exemplars.replay import Entry, Fresh
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.engine import Engine
from dist_mcl.training.gradients import batch_gradient, clipped
from dist_mcl.training.process_group import ProcessGroup


@dataclass(frozen=True)
class Pool:
    """What a stage learns from.

    Attributes:
        fresh: the stage's own samples.
        masked: the same samples, masked as exemplars are.
        memory: exemplars of earlier stages; may be empty, then `masked` may be too.
    """

    fresh: Sequence[Sample]
    masked: Sequence[Sample]
    memory: Sequence[Sample]

    def __getitem__(self, entry: Entry) -> Sample:
        if isinstance(entry, Fresh):
            return (self.masked if entry.masked else self.fresh)[entry.index]
        return swap_text(self.memory[entry.index], self.memory[entry.text])


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        log_prior: (classes,) added to the logits in training only (balanced softmax).
    """

    pool: Pool
    rows: Tensor
    log_prior: Tensor

    def __call__(self, forward: Callable[[Batch], Tensor], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.rows.device)
        return nn.functional.cross_entropy(forward(batch) + self.log_prior, self.rows[batch.targets])


@dataclass(frozen=True)
class Learner:
    """Optimiser steps, one global batch each."""

    engine: Engine
    objective: Objective
    config: Training
    group: ProcessGroup

    def __call__(self, batch: Sequence[Entry]) -> list[float]:
        """Learn from a global batch.

        Returns:
            the mean losses of its micro-batches, on every rank.

        Raises:
            PeerLostError: another process is gone or did not come in time.
        """
        return (self._in_order if self.config.gradient_sum == "ordered" else self._by_deepspeed)(batch)

    def _in_order(self, batch: Sequence[Entry]) -> list[float]:
        micro_batches = stripe(batch, 0, 1, self.config.micro_batch_size)
        model = self.engine.model
        found = batch_gradient(
            lambda entries: self.objective(model, entries), micro_batches, model.trainable(), self.group
        )
        gradient = clipped(found.gradient, self.config.gradient_clipping)
        engine = self.engine.deepspeed
        engine.backward(engine(gradient if self.group.is_first else torch.zeros_like(gradient)))
        engine.step()
        return found.losses

    def _by_deepspeed(self, batch: Sequence[Entry]) -> list[float]:
        engine = self.engine.deepspeed
        mine = []
        for entries in stripe(batch, self.group.rank, self.group.world_size, self.config.micro_batch_size):
            loss = self.objective(engine, entries)
            engine.backward(loss)
            engine.step()
            mine.append(loss.detach().float())
        shares = self.group.exchange(torch.stack(mine))
        return [float(loss) for step in zip(*shares, strict=True) for loss in step]

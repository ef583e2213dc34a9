"""One global batch after the other through the engine, in either of two ways to add up the gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dist_mcl.config import Training
from dist_mcl.exemplars import micro_batches, swap_text
from dist_mcl.exemplars.replay import Entry, Fresh
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.engine import Engine
from dist_mcl.training.gradients import batch_gradient, clipped, share
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.samples import targets_of


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

    def target(self, entry: Entry) -> int:
        """An entry's class id; no sample is read for it."""
        return int((self._fresh_targets if isinstance(entry, Fresh) else self.memory_targets)[entry.index])

    @cached_property
    def memory_targets(self) -> NDArray[np.int64]:
        """Class ids of the memory, int64 (n,)."""
        return targets_of(self.memory)

    @cached_property
    def _fresh_targets(self) -> NDArray[np.int64]:
        return targets_of(self.fresh)


class Teacher(Protocol):
    """An earlier model's answers."""

    def __call__(self, entries: Sequence[Entry], logits: Tensor) -> Tensor:
        """How far (B, classes) logits are from them, mean over the B entries of a micro-batch."""


class Objective(Protocol):
    """What is minimised."""

    def __call__(self, forward: Callable[[Batch], Any], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch.

        Args:
            forward: of the model, whatever that returns.
        """


@dataclass(frozen=True)
class ClassLoss:
    """Cross-entropy of the classes, and how far the answers are from a teacher's.

    Attributes:
        log_prior: (classes,) added to the logits in training only (balanced softmax).
        teacher: None where there is none.
        teacher_weight: factor of the teacher's loss.
    """

    pool: Pool
    rows: Tensor
    log_prior: Tensor
    teacher: Teacher | None
    teacher_weight: float

    def __call__(self, forward: Callable[[Batch], Tensor], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.rows.device)
        logits = forward(batch)
        loss = nn.functional.cross_entropy(logits + self.log_prior, self.rows[batch.targets])
        return loss if self.teacher is None else loss + self.teacher_weight * self.teacher(entries, logits)


@dataclass(frozen=True)
class Learner:
    """Optimiser steps, one global batch each.

    Attributes:
        key: seed and stage; with step and micro-batch, the seed of whatever a forward pass draws at random.
    """

    engine: Engine
    objective: Objective
    config: Training
    key: tuple[int, int]
    group: ProcessGroup

    def __call__(self, step: int, batch: Sequence[Entry]) -> float:
        """Learn from a global batch.

        Args:
            step: its number in the stage.

        Returns:
            its mean loss, on every rank.

        Raises:
            PeerLostError: another process is gone or did not come in time.
        """
        parts = micro_batches(batch, self.config.micro_batch_size)
        return self._in_order(step, parts) if self.config.gradient_sum == "ordered" else self._by_deepspeed(step, parts)

    def _in_order(self, step: int, parts: Sequence[Sequence[Entry]]) -> float:
        model = self.engine.model
        found = batch_gradient(
            lambda number: self._loss(model, step, number, parts[number]),
            len(parts),
            model.trainable(),
            self.group,
        )
        gradient = clipped(found.gradient, self.config.gradient_clipping)
        engine = self.engine.deepspeed
        if self.config.zero_stage == 0:
            with engine.no_sync():  # all ranks have it: nothing is left to be reduced
                engine.backward(engine(gradient))
        else:
            engine.backward(engine(gradient if self.group.is_first else torch.zeros_like(gradient)))
        engine.step()
        return found.loss

    def _by_deepspeed(self, step: int, parts: Sequence[Sequence[Entry]]) -> float:
        engine = self.engine.deepspeed
        mine = []
        for number in share(len(parts), self.group.rank, self.group.world_size):
            loss = self._loss(engine, step, number, parts[number])
            engine.backward(loss)
            engine.step()
            mine.append(loss.detach().float())
        return float(torch.cat(self.group.exchange(torch.stack(mine)).finish()).mean())

    def _loss(self, forward: Callable[[Batch], Any], step: int, number: int, entries: Sequence[Entry]) -> Tensor:
        # Not the state of a generator that runs on: so it needs no saving, and does not depend on who computes this.
        seed = np.random.SeedSequence((*self.key, step, number)).generate_state(1, np.uint64)
        torch.manual_seed(int(seed[0]))
        return self.objective(forward, entries)

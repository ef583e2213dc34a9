"""The training step of a stage: fresh samples and exemplars in one forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from deepspeed import DeepSpeedEngine
from torch import Tensor, nn

from dist_mcl.config import Experiment, Training
from dist_mcl.exemplars import Fresh, epoch_batches, stripe, swap_text
from dist_mcl.exemplars.replay import Entry
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.engine import start_engine
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


def train(
    model: Classifier,
    pool: Pool,
    rows: Tensor,
    experiment: Experiment,
    stage: int,
    group: ProcessGroup,
    progress: ProgressFile,
) -> list[float]:
    """Train one stage and return the mean loss of every optimiser step.

    The order of the samples, and with it the loss, does not depend on the number of ranks: each global batch is cut
    into the same micro-batches, which the ranks share out.

    Args:
        model: on `group.device`, its head already grown for this stage.
        pool: what there is to learn from.
        rows: lookup from class id to head row.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    config = experiment.training
    batches = _stage_batches(pool, experiment, stage)
    engine = start_engine(model, config, len(batches), group)
    model.train()
    learn = Learner(engine, pool, rows.to(group.device), _log_prior(batches, pool, rows, config).to(group.device))
    losses: list[list[float]] = []
    for done, batch in enumerate(batches, start=1):
        micro_batches = stripe(batch, group.rank, group.world_size, config.micro_batch_size)
        losses.append([learn(entries) for entries in micro_batches])
        if not all(map(math.isfinite, losses[-1])):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {done}; lower training.learning_rate")
        progress.update("train", done, len(batches), done * config.batch_size, losses[-1][-1])
    engine.destroy()
    return _mean_over_ranks(losses, group)


def _stage_batches(pool: Pool, experiment: Experiment, stage: int) -> list[list[Entry]]:
    labels = [exemplar.target for exemplar in pool.memory]
    return [
        batch
        for epoch in range(experiment.training.epochs)
        for batch in epoch_batches(
            seed=experiment.seed,
            stage=stage,
            epoch=epoch,
            fresh=range(len(pool.fresh)),
            memory_labels=labels,
            replay_ratio=experiment.exemplars.replay_ratio,
            swap_probability=experiment.exemplars.swap_probability,
            fresh_masking=experiment.exemplars.fresh_masking,
            batch_size=experiment.training.batch_size,
        )
    ]


def _log_prior(batches: Sequence[Sequence[Entry]], pool: Pool, rows: Tensor, config: Training) -> Tensor:
    """(classes,) log share of each head row among all that is learned; zeros where that is not evened out."""
    counts = torch.bincount(rows[torch.tensor([pool[entry].target for batch in batches for entry in batch])])
    if not (config.balanced_softmax and pool.memory):
        return torch.zeros(len(counts))
    # A class that is remembered by no exemplar does not come at all; a share of one sample keeps its logarithm finite.
    return (counts.clamp(min=1) / counts.sum()).log()


@dataclass(frozen=True)
class Learner:
    """One micro-batch after the other through the engine.

    Attributes:
        log_prior: added to the logits in training only (balanced softmax).
    """

    engine: DeepSpeedEngine
    pool: Pool
    rows: Tensor
    log_prior: Tensor

    def __call__(self, entries: Sequence[Entry]) -> float:
        """Learn a micro-batch and return its mean loss."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.rows.device)
        logits = self.engine(batch) + self.log_prior
        loss = nn.functional.cross_entropy(logits, self.rows[batch.targets])
        self.engine.backward(loss)
        self.engine.step()
        return float(loss.detach())


def _mean_over_ranks(losses: list[list[float]], group: ProcessGroup) -> list[float]:
    steps = zip(*group.gather(losses), strict=True)
    return [sum(map(sum, ranks)) / sum(map(len, ranks)) for ranks in steps]

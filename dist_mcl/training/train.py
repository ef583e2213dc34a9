"""The training step of a stage: fresh samples and exemplars in one forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepspeed import DeepSpeedEngine
from torch import Tensor, nn

from dist_mcl.config import Experiment
from dist_mcl.exemplars import Fresh, epoch_batches, stripe, swap_text
from dist_mcl.exemplars.replay import Entry
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.engine import start_engine
from dist_mcl.training.process_group import ProcessGroup


def train(
    model: Classifier,
    fresh: Sequence[Sample],
    memory: Sequence[Sample],
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
        fresh: the stage's own samples.
        memory: exemplars of earlier stages; may be empty.
        rows: lookup from class id to head row.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    config = experiment.training
    batches = _stage_batches(len(fresh), memory, experiment, stage)
    engine = start_engine(model, config, len(batches), group)
    model.train()
    rows = rows.to(group.device)
    losses: list[list[float]] = []
    for done, batch in enumerate(batches, start=1):
        micro_batches = stripe(batch, group.rank, group.world_size, config.micro_batch_size)
        losses.append([_learn(engine, entries, fresh, memory, rows) for entries in micro_batches])
        if not all(map(math.isfinite, losses[-1])):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {done}; lower training.learning_rate")
        progress.update("train", done, len(batches), done * config.batch_size, losses[-1][-1])
    engine.destroy()
    return _mean_over_ranks(losses, group)


def _stage_batches(num_fresh: int, memory: Sequence[Sample], experiment: Experiment, stage: int) -> list[list[Entry]]:
    labels = [exemplar.target for exemplar in memory]
    return [
        batch
        for epoch in range(experiment.training.epochs)
        for batch in epoch_batches(
            seed=experiment.seed,
            stage=stage,
            epoch=epoch,
            fresh=range(num_fresh),
            memory_labels=labels,
            replay_ratio=experiment.exemplars.replay_ratio,
            swap_probability=experiment.exemplars.swap_probability,
            batch_size=experiment.training.batch_size,
        )
    ]


def _learn(
    engine: DeepSpeedEngine, entries: Sequence[Entry], fresh: Sequence[Sample], memory: Sequence[Sample], rows: Tensor
) -> float:
    batch = Batch.collate([_sample(entry, fresh, memory) for entry in entries]).to(rows.device)
    loss = nn.functional.cross_entropy(engine(batch), rows[batch.targets])
    engine.backward(loss)
    engine.step()
    return float(loss.detach())


def _sample(entry: Entry, fresh: Sequence[Sample], memory: Sequence[Sample]) -> Sample:
    if isinstance(entry, Fresh):
        return fresh[entry.index]
    return swap_text(memory[entry.index], memory[entry.text])


def _mean_over_ranks(losses: list[list[float]], group: ProcessGroup) -> list[float]:
    steps = zip(*group.gather(losses), strict=True)
    return [sum(map(sum, ranks)) / sum(map(len, ranks)) for ranks in steps]

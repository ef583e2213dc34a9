"""The training step of a stage: fresh samples and exemplars in one forward pass."""

from __future__ import annotations

import faulthandler
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dist_mcl.config import Experiment, Training
from dist_mcl.errors import UserError
from dist_mcl.exemplars import epoch_batches
from dist_mcl.exemplars.replay import Entry
from dist_mcl.run_folder import ProgressFile
from dist_mcl.training.checkpoint import Checkpoints
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.distillation import find_teacher
from dist_mcl.training.engine import Engine, load_parameters, start_engine
from dist_mcl.training.heads import LinearHead
from dist_mcl.training.learner import ClassLoss, Learner, Objective, Pool
from dist_mcl.training.optimizer_state import MOMENTS, OptimizerState
from dist_mcl.training.preemption import Intention, StopRequests
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.trainable import TrainableModel
from dist_mcl.training.zero3 import changeable


@dataclass(frozen=True)
class Trained:
    """What a stage's training gives besides the model, on every rank.

    Attributes:
        losses: the mean loss of every optimiser step.
        optimizer: for the stage that follows; None where that begins anew.
    """

    losses: list[float]
    optimizer: OptimizerState | None


def train(
    model: Classifier,
    pool: Pool,
    rows: Tensor,
    experiment: Experiment,
    stage: int,
    group: ProcessGroup,
    progress: ProgressFile,
    checkpoints: Checkpoints,
    stop: StopRequests,
    before: OptimizerState | None = None,
) -> Trained:
    """Train one stage.

    The order of the samples does not depend on the number of ranks: each global batch is cut into the same
    micro-batches, which the ranks share out. See `training.gradient_sum` for how far the results agree.

    Args:
        model: on `group.device`, its head already grown for this stage.
        pool: what there is to learn from.
        rows: lookup from class id to head row.
        checkpoints: of this stage; training continues from the newest one.
        stop: asked after every step.
        before: how the stage before left AdamW, to go on with; None to begin anew.

    Raises:
        StageYieldedError: asked to stop; it was saved, unless there was no time for that.
        UserError: too many processes for the batch.
        FloatingPointError: the loss is not finite.
        PeerLostError: another process is gone, or a step lasted too long.
    """
    config = experiment.training
    batches = stage_batches(pool, experiment, stage)
    teacher = find_teacher(model, pool, batches, config.distillation, group)  # before any parameter changes
    prior = _log_prior(batches, pool, rows, config).to(group.device)
    objective = ClassLoss(pool, rows.to(group.device), prior, teacher, config.distillation.weight)
    trained = optimise(model, objective, batches, experiment, stage, group, progress, checkpoints, stop, before)
    _correct_bias(model, config)
    return trained


def optimise(
    model: TrainableModel,
    objective: Objective,
    batches: Sequence[Sequence[Entry]],
    experiment: Experiment,
    stage: int,
    group: ProcessGroup,
    progress: ProgressFile,
    checkpoints: Checkpoints,
    stop: StopRequests,
    before: OptimizerState | None = None,
) -> Trained:
    """Minimise an objective over global batches, one optimiser step each.

    Args and raises: as `train`.
    """
    config = experiment.training
    _check_processes(config, group)
    engine, losses = _start_or_continue(model, config, len(batches), group, checkpoints, before)
    model.train()
    if config.activation_checkpointing:
        model.backbone.checkpoint_activations()
    learn = Learner(engine, objective, config, (experiment.seed, stage), group)
    begun = len(losses)
    for done, batch in enumerate(batches[begun:], start=begun + 1):
        with _at_most(2 * config.step_timeout):
            losses.append(learn(done, batch))
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"the loss is {losses[-1]} at step {done}; lower training.learning_rate")
            progress.update("train", done, len(batches), (done - begun) * config.batch_size, losses[-1])
            if done < len(batches):
                _between_steps(losses, engine, checkpoints, stop)
    optimizer = _optimizer_state(engine, len(losses), before) if config.optimizer_state == "keep" else None
    engine.deepspeed.destroy()
    return Trained(losses, optimizer)


def _optimizer_state(engine: Engine, steps: int, before: OptimizerState | None) -> OptimizerState:
    moments = {name: value for name, value in engine.state().items() if name.split(".")[0] in MOMENTS}
    return OptimizerState(steps + (before.steps if before else 0), moments)


def _correct_bias(model: Classifier, config: Training) -> None:
    if config.bias_correction == "weight_aligning" and model.head.old_rows:
        with changeable(model.head):
            cast(LinearHead, model.head).align_new_rows()  # the configuration has no other head with it


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End this process, with its stack in the log, when it stays longer than that.

    Our own exchange says who is lost, and sooner; this is for a wait inside DeepSpeed's communication.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _start_or_continue(
    model: TrainableModel,
    config: Training,
    steps: int,
    group: ProcessGroup,
    checkpoints: Checkpoints,
    before: OptimizerState | None,
) -> tuple[Engine, list[float]]:
    saved = checkpoints.newest()
    if saved is None:
        grown = before and before.grown(model)  # now, since the engine may cut the parameters up
        engine = start_engine(model, config, steps, 0, group)
        if grown:
            engine.restore(grown.moments, grown.steps)
        return engine, []
    load_parameters(model, saved.tensors)
    engine = start_engine(model, config, steps, saved.step, group)
    engine.restore(saved.tensors, saved.step + (before.steps if before else 0))
    return engine, saved.losses


def _between_steps(losses: list[float], engine: Engine, checkpoints: Checkpoints, stop: StopRequests) -> None:
    step = len(losses)
    intention = stop.agree(checkpoints.is_due(step))
    is_saving = intention in (Intention.SAVE, Intention.SAVE_AND_YIELD)
    if is_saving:
        checkpoints.save(step, losses, engine)
    if intention >= Intention.SAVE_AND_YIELD:
        stop.leave(step, is_saving)


def _check_processes(config: Training, group: ProcessGroup) -> None:
    try:
        config.check_processes(group.world_size)
    except ValueError as error:
        raise UserError(str(error)) from error


def stage_batches(pool: Pool, experiment: Experiment, stage: int) -> list[list[Entry]]:
    """All global batches of a stage, in order; a function of the pool's sizes and the seed alone."""
    labels = pool.memory_targets.tolist()
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
            sampler=experiment.exemplars.replay_sampler,
        )
    ]


def _log_prior(batches: Sequence[Sequence[Entry]], pool: Pool, rows: Tensor, config: Training) -> Tensor:
    """(classes,) log share of each head row among all that is learned; zeros where that is not evened out."""
    counts = torch.bincount(rows[torch.tensor([pool.target(entry) for batch in batches for entry in batch])])
    if not (config.balanced_softmax and pool.memory):
        return torch.zeros(len(counts))
    # A class that is remembered by no exemplar does not come at all; a share of one sample keeps its logarithm finite.
    return (counts.clamp(min=1) / counts.sum()).log()

"""The programs. Each does nothing between two steps that it would not do in a real training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deepspeed

from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch
from dist_mcl.training.checkpoint import Checkpoints
from dist_mcl.training.engine import Engine
from dist_mcl.training.learner import Pool
from dist_mcl.training.preemption import StopRequests, StopSignals
from dist_mcl.training.train import train
from training_bench.diary import Diary
from training_bench.hugging_face import hugging_face
from training_bench.task import Task


def ours(task: Task, diary: Diary, folder: Path, save_after: int) -> None:
    """The training of a stage, as `mcl run` does it."""

    class Noted(ProgressFile):
        def update(self, step: str, done: int, total: int, samples: int = 0, loss: float | None = None) -> None:
            super().update(step, done, total, samples, loss)
            diary.stepped(loss)

    class Timed(Checkpoints):
        def save(self, step: int, losses: list[float], engine: Engine) -> None:
            begun = time.perf_counter()
            super().save(step, losses, engine)
            diary.saved(time.perf_counter() - begun, checkpoints)

    group, checkpoints = task.group, folder / "checkpoint"
    config = task.experiment.training.checkpoint.model_copy(update={"every_steps": save_after, "every_seconds": None})
    model = task.model()
    diary.built(model)
    train(
        model,
        Pool(task.samples, [], []),
        task.rows,
        task.experiment,
        1,
        group,
        Noted(folder / "progress.json" if group.is_first else None),
        Timed(checkpoints, config, None, group, check_current=lambda: None),
        StopRequests(StopSignals(), folder / "STOP", folder, group),
    )


def bare_deepspeed(task: Task, diary: Diary, folder: Path, save_after: int) -> None:
    """The least that trains: an engine and a loop."""
    group, checkpoints = task.group, folder / "checkpoint"
    model = task.model()
    diary.built(model)
    optimizer = task.optimizer(model)
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=optimizer, lr_scheduler=task.schedule(optimizer), config=task.deepspeed_config()
    )
    begun = 0
    if checkpoints.exists():
        _, state = engine.load_checkpoint(str(checkpoints), load_module_strict=False)
        begun = state["step"]
    model.train()
    micro_batches = task.micro_batches()
    slots = len(micro_batches) // task.steps
    for step in range(begun + 1, task.steps + 1):
        losses = []
        for samples in micro_batches[(step - 1) * slots : step * slots][group.rank :: group.world_size]:
            batch = Batch.collate(samples).to(group.device)
            loss = task.loss(engine(batch), batch)
            engine.backward(loss)
            engine.step()
            losses.append(loss.detach())
        diary.stepped(float(sum(losses)) / len(losses))
        if step == save_after:
            seconds = time.perf_counter()
            engine.save_checkpoint(str(checkpoints), client_state={"step": step}, exclude_frozen_parameters=True)
            diary.saved(time.perf_counter() - seconds, checkpoints)
    engine.destroy()


PROGRAMS: dict[str, Callable[[Task, Diary, Path, int], Any]] = {
    "ours": ours,
    "HF Trainer": hugging_face,
    "bare DeepSpeed": bare_deepspeed,
}

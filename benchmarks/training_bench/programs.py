"""The three programs. Each calls `tick` after every optimiser step, and does nothing between steps that it would not do
in a real training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import deepspeed
import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.learner import Pool
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.train import train
from training_bench.task import Task, optimizer, stripe

Tick = Callable[[], None]


def ours(task: Task, group: ProcessGroup, tick: Tick) -> None:
    """The training step of a stage, as `mcl run` does it."""

    class Ticking(ProgressFile):
        def update(self, step: str, done: int, total: int, samples: int = 0, loss: float | None = None) -> None:
            tick()

    pool = Pool(task.samples, [], [])
    train(task.model(), pool, task.rows, task.experiment, 1, group, Ticking(None))


def bare_deepspeed(task: Task, group: ProcessGroup, tick: Tick) -> None:
    """The least that trains: an engine and a loop."""
    model = task.model()
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=optimizer(model, task), config=task.deepspeed_config(group.world_size)
    )
    model.train()
    for samples in stripe(task.micro_batches(), group.rank, group.world_size):
        batch = Batch.collate(samples)
        engine.backward(task.loss(engine(batch), batch))
        is_step = engine.is_gradient_accumulation_boundary()
        engine.step()
        if is_step:
            tick()
    engine.destroy()


class _WithLoss(nn.Module):
    def __init__(self, model: Classifier, task: Task) -> None:
        super().__init__()
        self.model, self._task = model, task

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.model(batch)
        return {"loss": self._task.loss(logits, batch), "logits": logits}


class _InOrder(Trainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


def hugging_face(task: Task, group: ProcessGroup, tick: Tick) -> None:
    """transformers' Trainer with its DeepSpeed integration; a micro-batch is one item of its data set."""

    class Ticking(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            tick()

    micro_batches = task.micro_batches()
    model = _WithLoss(task.model(), task)
    with tempfile.TemporaryDirectory() as folder:
        config = {**task.deepspeed_config(group.world_size), "train_micro_batch_size_per_gpu": 1}
        config["train_batch_size"] = len(micro_batches) // task.steps
        arguments = TrainingArguments(
            output_dir=folder,
            use_cpu=not torch.cuda.is_available(),
            deepspeed=config,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=int(str(config["gradient_accumulation_steps"])),
            max_steps=task.steps,
            learning_rate=task.experiment.training.learning_rate,
            max_grad_norm=task.experiment.training.gradient_clipping,
            lr_scheduler_type="constant",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_num_workers=0,
        )
        trainer = _InOrder(
            model=model,
            args=arguments,
            train_dataset=micro_batches,  # type: ignore[arg-type]
            data_collator=lambda items: {"batch": Batch.collate(items[0])},
            optimizers=(optimizer(model, task), None),
            callbacks=[Ticking()],
        )
        trainer.train()


PROGRAMS: dict[str, Callable[[Task, ProcessGroup, Tick], None]] = {
    "ours": ours,
    "HF Trainer": hugging_face,
    "bare DeepSpeed": bare_deepspeed,
}

"""transformers' Trainer with PEFT and its DeepSpeed integration, as its documentation puts them together."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.tokens import Batch
from dist_mcl.training.classifier import Classifier
from training_bench.diary import Diary
from training_bench.task import Task


def hugging_face(task: Task, diary: Diary, folder: Path, save_after: int) -> None:
    """Train; a micro-batch is one item of the Trainer's data set."""
    model = _peft_model(task)
    diary.built(model)
    micro_batches = task.micro_batches()
    trainer = _Timed(
        model=model,
        args=_arguments(task, folder, len(micro_batches)),
        train_dataset=micro_batches,  # type: ignore[arg-type]
        data_collator=lambda items: {"batch": Batch.collate(items[0])},
        optimizers=(task.optimizer(model), None),
        callbacks=[_Noting(model, diary, save_after)],
    )
    trainer.task, trainer.diary = task, diary
    saved = folder / f"checkpoint-{save_after}"
    trainer.train(resume_from_checkpoint=str(saved) if saved.exists() else None)


class _WithLoss(nn.Module):
    """What the Trainer expects of a model: that it returns its loss."""

    def __init__(self, model: Classifier, task: Task) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head
        self._task = task
        self.losses: list[Tensor] = []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.head(self.backbone(batch))
        loss = self._task.loss(logits, batch)
        self.losses.append(loss.detach())
        return {"loss": loss, "logits": logits}


def _peft_model(task: Task) -> PeftModel:
    model = _WithLoss(task.bare_model(), task)
    adapter = task.experiment.model.adapter
    if not isinstance(adapter, LoRAAdapter):
        raise TypeError("PEFT has LoRA, and not SSF")
    modules = dict(model.backbone.named_modules())
    linear = [name for name in model.backbone.adapter_targets if isinstance(modules[name], nn.Linear)]
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]
        target_modules="|".join(re.escape(f"backbone.{name}") for name in linear),
        modules_to_save=["pooler", "head"],
    )
    torch.manual_seed(0)  # the adapters of `Classifier.begin(..., seed=0)`
    return get_peft_model(model, config).to(task.group.device)  # type: ignore[arg-type, return-value]


def _arguments(task: Task, folder: Path, micro_batches: int) -> TrainingArguments:
    config = {**task.deepspeed_config(), "train_micro_batch_size_per_gpu": 1}
    config["train_batch_size"] = micro_batches // task.steps
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=task.group.device.type == "cpu",
        deepspeed=config,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=int(str(config["gradient_accumulation_steps"])),
        max_steps=task.steps,
        learning_rate=task.experiment.training.learning_rate,
        max_grad_norm=task.experiment.training.gradient_clipping,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
    )


class _Noting(TrainerCallback):
    def __init__(self, model: PeftModel, diary: Diary, save_after: int) -> None:
        self._losses: list[Tensor] = model.get_base_model().losses  # type: ignore[assignment, union-attr]
        self._diary, self._save_after = diary, save_after

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        self._diary.stepped(float(sum(self._losses)) / len(self._losses))
        self._losses.clear()
        control.should_save = state.global_step == self._save_after
        return control


class _Timed(Trainer):
    task: Task
    diary: Diary

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        # With DeepSpeed the Trainer forgets the one in its `optimizers`.
        self.lr_scheduler = self.task.schedule(optimizer or self.optimizer)
        return self.lr_scheduler

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        begun = time.perf_counter()
        super()._save_checkpoint(*arguments, **options)
        self.diary.saved(time.perf_counter() - begun, Path(str(self.args.output_dir)))

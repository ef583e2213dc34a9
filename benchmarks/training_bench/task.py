"""What all three programs train: the same model, adapters, micro-batches and DeepSpeed settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from dist_mcl.backbones import SmallBackbone
from dist_mcl.backbones.tokenizers import open_tokenizers
from dist_mcl.config import Experiment, LoRAAdapter, Model
from dist_mcl.data_config import EmojiData
from dist_mcl.packages.models import model_dir
from dist_mcl.scenario.readers import open_splits
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier, class_rows

CLASSES = 37


@dataclass(frozen=True)
class Task:
    """Training of the small backbone with LoRA on samples of the emoji set, for a number of optimiser steps.

    Attributes:
        experiment: batch sizes and DeepSpeed settings.
        steps: optimiser steps.
    """

    experiment: Experiment
    steps: int

    @cached_property
    def samples(self) -> list[Sample]:
        """One epoch: as many samples as the steps take, prepared by the backbone as a stage does."""
        scenes = open_splits(EmojiData(), seed=0)["train"]
        tokenizers = open_tokenizers(Model())
        wanted = self.steps * self.experiment.training.batch_size
        some = [scenes.sample(index % 256, tokenizers, stage=1) for index in range(min(wanted, 256))]
        prepared = SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2")).prepare(some)
        return [prepared[index % len(prepared)] for index in range(wanted)]

    @cached_property
    def rows(self) -> Tensor:
        """Lookup from class id to head row."""
        return class_rows(list(range(CLASSES)))

    def model(self) -> Classifier:
        """The same weights in every process and program."""
        model = Classifier.begin(SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2")), LoRAAdapter(), seed=0)
        model.head.grow(CLASSES, seed=0)
        return model

    def micro_batches(self) -> list[list[Sample]]:
        """All micro-batches of all steps, in order."""
        size = self.experiment.training.micro_batch_size
        return [self.samples[start : start + size] for start in range(0, len(self.samples), size)]

    def tokens_per_step(self) -> float:
        """Picture and text tokens of an optimiser step, the special ones not counted."""
        return sum(len(part) for sample in self.samples for part in sample.tokens.values()) / self.steps

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a micro-batch."""
        return nn.functional.cross_entropy(logits, self.rows[batch.targets])

    def deepspeed_config(self, world_size: int) -> dict[str, object]:
        """DeepSpeed's settings of the two programs that configure it themselves; ours makes its own from the same."""
        config = self.experiment.training
        return {
            "train_batch_size": config.batch_size,
            "train_micro_batch_size_per_gpu": config.micro_batch_size,
            "gradient_accumulation_steps": config.batch_size // (config.micro_batch_size * world_size),
            "gradient_clipping": config.gradient_clipping,
            "zero_optimization": {"stage": config.zero_stage},
            "steps_per_print": 2**31,
        }


def optimizer(model: nn.Module, task: Task) -> torch.optim.AdamW:
    """The optimiser of the two other programs, on what trains."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trainable, lr=task.experiment.training.learning_rate)


def stripe(items: Sequence[list[Sample]], rank: int, world_size: int) -> list[list[Sample]]:
    """The micro-batches that one rank takes."""
    return list(items[rank::world_size])

"""What all programs train: the same model, adapters, micro-batches, optimiser and DeepSpeed settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import Experiment, Model
from dist_mcl.data_config import EmojiData
from dist_mcl.exemplars import epoch_batches, micro_batches
from dist_mcl.modalities.tokenizers import open_tokenizers
from dist_mcl.packages.models import model_dir
from dist_mcl.scenario.readers import open_splits
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier, class_rows
from dist_mcl.training.engine import deepspeed_config, learning_rate_factor
from dist_mcl.training.heads import LinearHead
from dist_mcl.training.load import load_backbone
from dist_mcl.training.process_group import ProcessGroup
from training_bench.random_weights import Size, random_backbone

CLASSES = 37
# More would take time to prepare and train no differently: the samples come again and again.
_DISTINCT_SAMPLES = 64


@dataclass(frozen=True)
class Task:
    """Training of a backbone with LoRA on samples of the emoji set, for a number of optimiser steps.

    Attributes:
        experiment: adapter, batch sizes, precision and DeepSpeed settings.
        steps: optimiser steps.
        size: of a backbone with random weights; None for the small backbone.
    """

    experiment: Experiment
    steps: int
    size: Size | None
    group: ProcessGroup

    @cached_property
    def samples(self) -> list[Sample]:
        """One epoch: as many samples as the steps take, prepared as a stage does it."""
        scenes = open_splits(EmojiData(), seed=0)["train"]
        tokenizers = open_tokenizers(Model())
        wanted = self.steps * self.experiment.training.batch_size
        some = [scenes.sample(index, tokenizers, stage=1) for index in range(min(wanted, _DISTINCT_SAMPLES))]
        prepared = SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2")).prepare(some)
        return [prepared[index % len(prepared)] for index in range(wanted)]

    @cached_property
    def rows(self) -> Tensor:
        """Lookup from class id to head row."""
        return class_rows(list(range(CLASSES))).to(self.group.device)

    def bare_model(self) -> Classifier:
        """The classifier without an adapter; the same weights in every process and program."""
        backbone = self._backbone()
        model = Classifier(backbone, LinearHead(backbone.hidden_size))
        model.head.grow(CLASSES, seed=0)
        return model

    def model(self) -> Classifier:
        """The classifier as a stage makes it."""
        model = Classifier.begin(self._backbone(), self.experiment.model.adapter, seed=0)
        model.head.grow(CLASSES, seed=0)
        return model.to(self.group.device)

    def _backbone(self) -> SmallBackbone:
        if self.size is None:
            return load_backbone(self.experiment, self.group)
        return random_backbone(self.size, self.experiment, self.group)

    def micro_batches(self) -> list[list[Sample]]:
        """All micro-batches of all steps, in the order in which a stage takes them."""
        training, exemplars = self.experiment.training, self.experiment.exemplars
        batches = epoch_batches(
            seed=self.experiment.seed,
            stage=1,
            epoch=0,
            fresh=range(len(self.samples)),
            memory_labels=[],
            replay_ratio=exemplars.replay_ratio,
            swap_probability=exemplars.swap_probability,
            fresh_masking=exemplars.fresh_masking,
            batch_size=training.batch_size,
        )
        cut = [part for batch in batches for part in micro_batches(batch, training.micro_batch_size)]
        return [[self.samples[entry.index] for entry in part] for part in cut]

    def tokens_per_step(self) -> float:
        """Picture and text tokens of an optimiser step, the special ones not counted."""
        return sum(len(part) for sample in self.samples for part in sample.tokens.values()) / self.steps

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a micro-batch."""
        return nn.functional.cross_entropy(logits, self.rows[batch.targets])

    def optimizer(self, model: nn.Module) -> torch.optim.AdamW:
        """For the programs that make it themselves: what a stage makes, on what trains."""
        config = self.experiment.training
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trainable if parameter.ndim > 1]
        vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
        return torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )

    def schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        """The learning rate of a stage."""
        return LambdaLR(optimizer, learning_rate_factor(self.experiment.training, self.steps))

    def deepspeed_config(self) -> dict[str, object]:
        """For the programs that configure it themselves: what ours gives DeepSpeed when it leaves the sum to it."""
        training = self.experiment.training.model_copy(update={"gradient_sum": "deepspeed"})
        return deepspeed_config(training, self.group.world_size)

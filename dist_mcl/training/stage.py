"""A stage of class-incremental learning: train, memorise, evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.backbones import Backbone
from dist_mcl.config import SSFAdapter
from dist_mcl.evaluation import confusion_counts, matrix_row
from dist_mcl.exemplars import Masking
from dist_mcl.exemplars.codecs import codecs_for
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.modalities.tokenizers import Tokenizers, open_tokenizers
from dist_mcl.scenario.dataset import Dataset, Split
from dist_mcl.scenario.readers import open_splits
from dist_mcl.scenario.stages import Stage, stages
from dist_mcl.training.classifier import Classifier, class_rows
from dist_mcl.training.evaluate import predict
from dist_mcl.training.learner import Pool
from dist_mcl.training.load import load_backbone
from dist_mcl.training.masking import mask_all
from dist_mcl.training.memorise import memorise
from dist_mcl.training.nearest_mean import ClassMeans, class_means
from dist_mcl.training.optimizer_state import OptimizerState
from dist_mcl.training.samples import StageSamples
from dist_mcl.training.sharding import prepare
from dist_mcl.training.stage_run import StageRun
from dist_mcl.training.train import train
from dist_mcl.training.zero3 import callable_in_parts, check_same_modalities, is_sharded


@dataclass
class ClassStageRun(StageRun):
    """A stage of class-incremental learning: new classes, with a memory of the old ones."""

    def train(self) -> dict[str, object]:
        before = None if self.folder.number == 1 else self.run.stage(self.folder.number - 1).adapter
        if before is None:
            config = self._experiment.model
            assert isinstance(config.adapter, SSFAdapter | LoRAAdapter)  # others are refused for classes
            model = Classifier.begin(self._backbone(), config.adapter, self._experiment.seed, config.head)
        else:
            model = Classifier.resume(self._backbone(), before)
        model.head.grow(len(self._stage.classes), seed=self._experiment.seed + self.folder.number)
        model.to(self.group.device)
        self.progress.begin("prepare")
        stored = self._memory()
        with callable_in_parts(model):
            fresh = prepare(model.backbone, self._fresh, self.group)
            memory = prepare(model.backbone, stored or [], self.group)
            if is_sharded(model):
                check_same_modalities([*fresh, *memory])
            masked = mask_all(model, self._fresh, fresh, self._masking, self.group) if memory else []
        pool = Pool(fresh, masked, memory)
        size = sum(parameter.numel() for parameter in model.trainable())  # before they may be sharded
        self.progress.begin("train")
        trained = train(
            model,
            pool,
            self._rows,
            self._experiment,
            self.folder.number,
            self.group,
            self.progress,
            self._checkpoints(None if stored is None else stored.generation),
            self.stop,
            OptimizerState.load(before) if before and self._experiment.training.optimizer_state == "keep" else None,
        )
        with callable_in_parts(model):
            if self.group.is_first:
                self._publish(lambda folder: _save(model, trained.optimizer, folder))
            self.group.barrier()
        self._model = model
        return {
            "loss": trained.losses,
            "fresh_samples": len(fresh),
            "exemplars": len(memory),
            "trainable_parameters": size,
            "processes": self.group.world_size,
        }

    def memorise(self) -> dict[str, object]:
        self.progress.begin("memorise")
        if not self._experiment.exemplars.budget:
            return {"exemplars": 0, "bytes": 0, "whole_image_bytes": None, "classes": {}}
        model, number = self._trained(), self.folder.number
        with callable_in_parts(model):
            return memorise(model, self._fresh, self.run, number, self._masking, self.group, self.progress)

    def evaluate(self) -> dict[str, object]:
        self.progress.begin("evaluate")
        seen = self._stages[: self.folder.number]
        samples = self._samples("test", np.sort(np.concatenate([stage.test for stage in seen])))
        model = self._trained()
        with callable_in_parts(model):
            classify = self._nearest_means(model, len(self._rows_of(seen)))
            targets, predictions = predict(model, samples, self._rows, self.group, self.progress, classify)
        confusion = confusion_counts(targets.numpy(), predictions.numpy(), len(self._rows_of(seen)))
        accuracy, items = matrix_row(confusion, [self._rows_of([stage]) for stage in seen])
        return {"accuracy": accuracy.tolist(), "items": items.tolist(), "confusion": confusion.tolist()}

    def _nearest_means(self, model: Classifier, classes: int) -> ClassMeans | None:
        if self._experiment.evaluation.classifier == "head":
            return None
        return class_means(model, self._exemplars(), self._rows, classes, self.group)

    @cached_property
    def _tokenizers(self) -> Tokenizers:
        return open_tokenizers(self._experiment.model)

    @cached_property
    def _masking(self) -> Masking:
        config, tokenizers = self._experiment.exemplars, self._tokenizers
        codecs = codecs_for(config, tokenizers.text.vocabulary_size, tokenizers.image.patch)
        return Masking(config, self._experiment.seed, codecs, tokenizers.text.continues)

    @cached_property
    def _splits(self) -> dict[Split, Dataset]:
        return open_splits(self._experiment.data, self._experiment.seed)

    @cached_property
    def _stages(self) -> list[Stage]:
        return stages(
            self.run.plan.stages,
            self._splits["train"].labels,
            self._splits["test"].labels,
            self._experiment.data.max_per_class,
        )

    @property
    def _stage(self) -> Stage:
        return self._stages[self.folder.number - 1]

    @cached_property
    def _rows(self) -> Tensor:
        return class_rows(self.run.plan.class_order)

    @cached_property
    def _fresh(self) -> StageSamples:
        return self._samples("train", self._stage.train)

    def _rows_of(self, arrived: Sequence[Stage]) -> list[int]:
        return [int(self._rows[class_id]) for stage in arrived for class_id in stage.classes]

    def _samples(self, split: Split, indices: NDArray[np.int64]) -> StageSamples:
        data, seed = self._experiment.data, self._experiment.seed
        absent = data.absent_in_train if split == "train" else data.absent_in_test
        return StageSamples(self._splits[split], indices, self._tokenizers, self.folder.number, absent, seed)

    def _backbone(self) -> Backbone:
        return load_backbone(self._experiment, self.group)

    def _trained(self) -> Classifier:
        if not hasattr(self, "_model"):  # training was done by an earlier attempt
            self._model = Classifier.resume(self._backbone(), self.folder.adapter).to(self.group.device)
        return self._model

    def _memory(self) -> ExemplarDataset | None:
        return self._exemplars() if self._experiment.exemplars.budget else None

    def _exemplars(self) -> ExemplarDataset:
        return ExemplarDataset(self.run.store, dropped=self._experiment.exemplars.dropped)


def _save(model: Classifier, optimizer: OptimizerState | None, folder: Path) -> None:
    model.save(folder)
    if optimizer is not None:
        optimizer.save(folder)

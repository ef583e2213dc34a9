"""A stage of modality-incremental learning: train on new questions, then ask about all modalities that were learned.

A stage brings one modality, or all of them where they are learned at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from dist_mcl.adapter_config import ModalityAdapter
from dist_mcl.answer_config import AS_CAPTIONS
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.evaluation.answers import main_score, scores_by_task
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.questions.splits import Questions
from dist_mcl.scenario.questions.stages import StageQuestions, modality_stages
from dist_mcl.tokens import Sample
from dist_mcl.training.answer_loss import AnswerLoss, PreviousAnswers
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.ask import ask
from dist_mcl.training.consolidation import (
    Importance,
    find_anchor,
    importance_after,
    load_importance,
    save_importance,
)
from dist_mcl.training.learner import Pool
from dist_mcl.training.load_language import load_language_backbone
from dist_mcl.training.memorise import NOTHING_KEPT
from dist_mcl.training.memorise_questions import memorise_questions
from dist_mcl.training.samples import LazySamples
from dist_mcl.training.sharding import prepare
from dist_mcl.training.stage_run import StageRun
from dist_mcl.training.train import optimise, stage_batches


class QuestionSamples(LazySamples):
    """Questions as samples of a stage, one part after the other; read when they are used."""

    def __init__(self, parts: Sequence[Questions], stage: int) -> None:
        self._parts, self._stage = parts, stage
        self._ends = list(accumulate(map(len, parts)))
        self.ids = np.concatenate([part.ids for part in parts])

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, index: int) -> Sample:
        """A sample. Raises UserError where its media cannot be read."""
        which = bisect_right(self._ends, index)
        part = self._parts[which]
        return part.sample(index - self._ends[which] + len(part), self._stage)


@dataclass
class ModalityStageRun(StageRun):
    """What earlier stages learned is read from their folders."""

    def train(self) -> dict[str, object]:
        self.progress.begin("prepare")
        model = self._learned(self.folder.number - 1)
        new = self._arrivals[-1]
        names = [stage.modality for stage in new]
        model.begin(names, self._adapter, self._experiment.seed + self.folder.number)
        model.to(self.group.device)
        is_kept = model.backbone.prepares(names)
        fresh = prepare(model.backbone, self._fresh, self.group) if is_kept else self._fresh
        stored = ExemplarDataset(self.run.store) if self._experiment.exemplars.budget else None
        size = sum(parameter.numel() for parameter in model.trainable())
        pool = Pool(fresh, [], prepare(model.backbone, stored or [], self.group))
        before = self._importance_before()
        objective = self._objective(model, pool, before)
        self.progress.begin("train")
        trained = optimise(
            model,
            objective,
            stage_batches(pool, self._experiment, self.folder.number),
            self._experiment,
            self.folder.number,
            self.group,
            self.progress,
            self._checkpoints(None if stored is None else stored.generation),
            self.stop,
        )
        holding = self._experiment.training.consolidation
        importance = importance_after(model, fresh, holding, before, self.group) if holding.kind == "ewc" else None
        if self.group.is_first:
            self._publish(lambda folder: _save(model, importance, folder))
        self.group.barrier()
        return {
            "loss": trained.losses,
            "fresh_samples": len(fresh),
            "questions": [len(stage.train) for stage in new],
            "exemplars": len(pool.memory),
            "trainable_parameters": size,
            "processes": self.group.world_size,
        }

    def memorise(self) -> dict[str, object]:
        if self._experiment.exemplars.budget:
            self.progress.begin("memorise")
            model, number = self._learned(self.folder.number).to(self.group.device), self.folder.number
            return memorise_questions(model, self._fresh, self.run, number, self.group, self.progress)
        return NOTHING_KEPT

    def evaluate(self) -> dict[str, object]:
        self.progress.begin("evaluate")
        model = self._learned(self.folder.number).to(self.group.device)
        seen = [stage for new in self._arrivals for stage in new]
        details = {stage.modality: self._scores(model, stage) for stage in seen}
        return {
            "scores": {
                name: {test: main_score(found) for test, found in tests.items()} for name, tests in details.items()
            },
            "details": details,
            "items": [sum(map(len, stage.tests.values())) for stage in seen],
        }

    def _scores(self, model: Answerer, stage: StageQuestions) -> dict[str, dict[str, float]]:
        """All scores of a modality, by data set and task."""
        found = {}
        for name, questions in stage.tests.items():
            samples = QuestionSamples([questions], stage.number)
            how = self._experiment.evaluation
            said = ask(model, samples, how, self.group, self.progress)
            if any(asked.task in AS_CAPTIONS for asked in questions.questions):
                self.progress.begin("scoring captions")  # by Java programs, which may take minutes
            # Once for all ranks: captions may take Java programs, with gigabytes each.
            own = scores_by_task(questions.questions, said, how.captions) if self.group.is_first else None
            for task, scores in self.group.broadcast(own).items():
                found[f"{name}/{task}" if task else name] = scores
        return found

    def _objective(self, model: Answerer, pool: Pool, before: Importance) -> AnswerLoss:
        """What the stage minimises; nothing of the model may have been trained yet."""
        config = self._experiment.training
        if self.folder.number == 1:
            return AnswerLoss(pool, self.group.device)
        teacher = PreviousAnswers.of(model, config.distillation) if config.distillation.teacher == "previous" else None
        return AnswerLoss(pool, self.group.device, teacher, find_anchor(model, config.consolidation, before))

    def _importance_before(self) -> Importance:
        if self._experiment.training.consolidation.kind != "ewc" or self.folder.number == 1:
            return {}
        return load_importance(self.run.stage(self.folder.number - 1).adapter)

    def _learned(self, stages: int) -> Answerer:
        """The model with what the first stages have learned, each in its own folder."""
        model = Answerer(self._backbone())
        new = self._arrivals[:stages]
        folders = [self.run.stage(number).adapter for number in range(1, stages + 1)]
        model.load([([one.modality for one in its], folder) for its, folder in zip(new, folders, strict=True)])
        return model

    @property
    def _fresh(self) -> QuestionSamples:
        return QuestionSamples([stage.train for stage in self._arrivals[-1]], self.folder.number)

    @cached_property
    def _arrivals(self) -> list[list[StageQuestions]]:
        """What each stage has brought, up to this one."""
        scenario = self._experiment.scenario
        assert isinstance(scenario, ModalityIncremental)
        questions = self._questions(scenario)
        return [[questions[number] for number in new] for new in self.run.plan.stages[: self.folder.number]]

    def _questions(self, scenario: ModalityIncremental) -> list[StageQuestions]:
        return modality_stages(scenario)

    def _backbone(self) -> LanguageBackbone:
        return load_language_backbone(self._experiment)

    @property
    def _adapter(self) -> ModalityAdapter:
        adapter = self._experiment.model.adapter
        assert isinstance(adapter, ModalityAdapter)  # others are refused for modalities
        return adapter


def _save(model: Answerer, importance: Importance | None, folder: Path) -> None:
    model.save(folder)
    if importance is not None:
        save_importance(importance, folder)

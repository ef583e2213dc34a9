"""A stage of modality-incremental learning: train on one modality's questions, then ask about all that were learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.evaluation.answers import main_score, scores_by_task
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.questions.splits import Questions
from dist_mcl.scenario.questions.stages import StageQuestions, modality_stages
from dist_mcl.tokens import Sample
from dist_mcl.training.answerer import Answerer, AnswerLoss
from dist_mcl.training.ask import ask
from dist_mcl.training.learner import Pool
from dist_mcl.training.load_language import load_language_backbone
from dist_mcl.training.samples import LazySamples
from dist_mcl.training.sharding import prepare
from dist_mcl.training.stage_run import StageRun
from dist_mcl.training.train import optimise, stage_batches


class QuestionSamples(LazySamples):
    """A stage's questions as samples, read when they are used."""

    def __init__(self, questions: Questions, stage: int) -> None:
        self._questions, self._stage = questions, stage

    def __len__(self) -> int:
        return len(self._questions)

    def sample(self, index: int) -> Sample:
        """A sample. Raises UserError where its media cannot be read."""
        return self._questions.sample(index, self._stage)


@dataclass
class ModalityStageRun(StageRun):
    """What earlier stages learned is read from their folders, each of which holds its own modality alone."""

    def train(self) -> dict[str, object]:
        self.progress.begin("prepare")
        model = self._learned(self.folder.number - 1)
        model.begin(self._stage.modality, self._adapter, self._experiment.seed + self.folder.number)
        model.to(self.group.device)
        fresh = prepare(model.backbone, QuestionSamples(self._stage.train, self.folder.number), self.group)
        size = sum(parameter.numel() for parameter in model.trainable())
        pool = Pool(fresh, [], [])
        self.progress.begin("train")
        trained = optimise(
            model,
            AnswerLoss(pool, self.group.device),
            stage_batches(pool, self._experiment, self.folder.number),
            self._experiment,
            self.folder.number,
            self.group,
            self.progress,
            self._checkpoints(None),
            self.stop,
        )
        if self.group.is_first:
            self._publish(model.save)
        self.group.barrier()
        return {
            "loss": trained.losses,
            "fresh_samples": len(fresh),
            "exemplars": 0,
            "trainable_parameters": size,
            "processes": self.group.world_size,
        }

    def memorise(self) -> dict[str, object]:
        return {"exemplars": 0, "bytes": 0, "whole_image_bytes": None, "classes": {}}

    def evaluate(self) -> dict[str, object]:
        self.progress.begin("evaluate")
        model = self._learned(self.folder.number).to(self.group.device)
        seen = self._stages[: self.folder.number]
        details = {stage.modality: self._scores(model, stage) for stage in seen}
        return {
            "scores": {
                name: {test: main_score(found) for test, found in tests.items()} for name, tests in details.items()
            },
            "details": details,
            "accuracy": [_mean([found["exact_match"] for found in tests.values()]) for tests in details.values()],
            "items": [sum(map(len, stage.tests.values())) for stage in seen],
        }

    def _scores(self, model: Answerer, stage: StageQuestions) -> dict[str, dict[str, float]]:
        """All scores of a modality, by data set and task."""
        found = {}
        for name, questions in stage.tests.items():
            samples = QuestionSamples(questions, stage.number)
            said = ask(model, samples, self._experiment.evaluation.generation, self.group, self.progress)
            for task, scores in scores_by_task(questions.questions, said).items():
                found[f"{name}/{task}" if task else name] = scores
        return found

    def _learned(self, stages: int) -> Answerer:
        """The model with what the first stages have learned, each in its own folder."""
        model = Answerer(load_language_backbone(self._experiment))
        for stage in self._stages[:stages]:
            model.load(stage.modality, self.run.stage(stage.number).adapter)
        return model

    @cached_property
    def _stages(self) -> list[StageQuestions]:
        scenario = self._experiment.scenario
        assert isinstance(scenario, ModalityIncremental)
        return modality_stages(scenario)

    @property
    def _stage(self) -> StageQuestions:
        return self._stages[self.folder.number - 1]

    @property
    def _adapter(self) -> AdapterInAdapter | None:
        adapter = self._experiment.model.adapter
        return adapter if isinstance(adapter, AdapterInAdapter) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

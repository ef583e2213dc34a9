"""Stages of modalities in this process, which share questions and frozen models with all other runs in it."""

from __future__ import annotations

import copy
from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from statistics import fmean
from typing import Any, ClassVar

import torch
from torch import Tensor

from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.config import Experiment
from dist_mcl.evaluation.answers import exact_match
from dist_mcl.media_rules import media_of
from dist_mcl.question_config import AnyQuestions, ModalityIncremental, PreparedData
from dist_mcl.scenario.questions.splits import Questions
from dist_mcl.scenario.questions.stages import StageQuestions, modality_stages
from dist_mcl.scenario.questions.tables import read_media
from dist_mcl.scenario.tables import folder_of
from dist_mcl.tokens import Batch, PackedTokens
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.ask import ask
from dist_mcl.training.load_language import load_language_backbone
from dist_mcl.training.modality_stage import ModalityStageRun, QuestionSamples
from dist_mcl.training.sharding import prepare
from studies.costs import measured

WATCHED = 16
"""Test questions of each modality whose answers are compared bit for bit."""
_ALL = 10**6  # questions; more than any data set has
Tallies = dict[str, tuple[int, int]]
"""By what was asked about: how many questions about it were answered rightly, and how many were asked."""


class ModalityStudyStage(ModalityStageRun):
    """A stage whose questions, language model and encoders are those of other runs.

    Its records hold more than those of `mcl run`. `train`: `processor_seconds` and `peak_bytes`, without what the
    encoders take for new questions, which all methods share. `evaluate`: `digests`, by modality, of how likely the
    right answers to its first test questions are; equal if and only if all of them are, to the last bit.
    """

    def train(self) -> dict[str, object]:
        prepare(_frozen(self._experiment), self._fresh, self.group)
        with measured() as cost:
            done = super().train()
        return {**done, **cost}

    def evaluate(self) -> dict[str, object]:
        done = super().evaluate()
        model = self._learned(self.folder.number).to(self.group.device).eval()
        return {**done, "digests": {stage.modality: _digest(model, stage) for new in self._arrivals for stage in new}}

    def on_all_tests(self) -> dict[str, Tallies]:
        """What the model of this stage answers to all test questions that the data sets have, by modality.

        Prepared sets only: they say which questions are about the same thing, such as views of one 3-D model.
        """
        scenario = self._experiment.scenario
        assert isinstance(scenario, ModalityIncremental)
        model = self._learned(self.folder.number).to(self.group.device)
        found = {}
        for config, stage in zip(scenario.stages, self._questions(_with_all_tests(scenario)), strict=True):
            ((source, questions),) = zip(config.data, stage.tests.values(), strict=True)
            samples = QuestionSamples([questions], stage.number)
            said = ask(model, samples, self._experiment.evaluation, self.group, self.progress)
            found[stage.modality] = _tallies(questions, said, _things(source, questions))
        return found

    def guessing(self) -> dict[str, float]:
        """What always saying the commonest answer of its training questions scores, by modality."""
        return {stage.modality: _guessed(stage) for new in self._arrivals for stage in new}

    @property
    def modalities(self) -> list[str]:
        """Those that the stage has brought."""
        return [stage.modality for stage in self._arrivals[-1]]

    def full_parameters(self) -> int:
        """How many parameters full fine-tuning trains in this stage: connector, decoder, the modalities' own."""
        backbone = _frozen(self._experiment)
        own = [name for modality in self.modalities for name in backbone.own_modules(modality)]
        parts = [*map(backbone.get_submodule, own), backbone.roles["connector"], backbone.roles["decoder"]]
        return sum({id(value): value.numel() for part in parts for value in part.parameters()}.values())

    def _backbone(self) -> LanguageBackbone:
        return copy.deepcopy(_frozen(self._experiment))

    def _questions(self, scenario: ModalityIncremental) -> list[StageQuestions]:
        return _remembered_questions(scenario.model_copy(update={"joint": False}).model_dump_json())


class RememberedFeatures(MediaEncoder):
    """A frozen encoder that is asked but once about equal tokens; all copies of a backbone share it."""

    is_frozen = True
    _known: ClassVar[dict[bytes, PackedTokens]] = {}  # of all encoders: runs of all seeds have the same pretrained ones

    def __init__(self, encoder: MediaEncoder) -> None:
        super().__init__()
        self.encoder, self.features = encoder, encoder.features
        self._identity = _tensor_digest(repr(encoder).encode(), *map(Tensor.float, encoder.state_dict().values()))

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        """As the encoder, in half precision, which is what a backbone keeps of it."""
        key = _tensor_digest(self._identity, *vars(tokens).values())
        if key not in self._known:
            found = self.encoder(tokens)
            self._known[key] = PackedTokens(found.values.half(), found.positions, found.sample, found.grids)
        return self._known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> RememberedFeatures:
        return self


@lru_cache(maxsize=2)  # a study's own, and with all tests
def _remembered_questions(scenario: str) -> list[StageQuestions]:
    stages = modality_stages(ModalityIncremental.model_validate_json(scenario))
    for questions in (questions for stage in stages for questions in (stage.train, *stage.tests.values())):
        questions.sample = lru_cache(maxsize=None)(questions.sample)  # type: ignore[method-assign]
    return stages


def _guessed(stage: StageQuestions) -> float:
    ((commonest, _),) = Counter(asked.answers[0] for asked in stage.train.questions).most_common(1)
    tests = (asked for questions in stage.tests.values() for asked in questions.questions)
    return fmean(exact_match(commonest, asked.answers) for asked in tests)


def _with_all_tests(scenario: ModalityIncremental) -> ModalityIncremental:
    stages = (
        stage.model_copy(
            update={"data": tuple(one.model_copy(update={"max_test_questions": _ALL}) for one in stage.data)}
        )
        for stage in scenario.stages
    )
    return scenario.model_copy(update={"stages": tuple(stages)})


def _things(source: AnyQuestions, questions: Questions) -> list[str]:
    """What each question is about: equal for all of which a prepared set keeps one side of the split."""
    assert isinstance(source, PreparedData)
    groups = read_media(source.folder or folder_of(source.dataset), questions.modality)["group"].to_pylist()
    rows = (int(questions.source(number).rpartition(" ")[2]) for number in range(len(questions)))
    return [f"{source.dataset} {groups[row]}" for row in rows]


def _tallies(questions: Questions, said: list[str], things: list[str]) -> Tallies:
    right: Counter[str] = Counter()
    asked = Counter(things)
    for thing, text, question in zip(things, said, questions.questions, strict=True):
        right[thing] += int(exact_match(text, question.answers))
    return {thing: (right[thing], count) for thing, count in asked.items()}


def _frozen(experiment: Experiment) -> LanguageBackbone:
    """What all runs with one seed begin with; nothing in it is ever changed."""
    model, media = experiment.model.backbone, media_of(experiment)
    key = f"{model!r} {media!r} {experiment.training.precision} {experiment.seed}"
    if key not in _kept:
        _kept.clear()  # one at a time: a language model is large
        backbone = load_language_backbone(experiment)
        if isinstance(backbone, EncodingBackbone):
            _remember_features(backbone)
        _kept[key] = backbone
    return _kept[key]


_kept: dict[str, LanguageBackbone] = {}


def _remember_features(backbone: EncodingBackbone) -> None:
    for name, encoder in list(backbone.encoders.items()):
        assert isinstance(encoder, MediaEncoder)
        if encoder.is_frozen:
            backbone.encoders[name] = RememberedFeatures(encoder)


@torch.no_grad()
def _digest(model: Answerer, stage: StageQuestions) -> str:
    questions = next(iter(stage.tests.values()))
    samples = [questions.sample(index, stage.number) for index in islice(range(len(questions)), WATCHED)]
    surprise = model(Batch.collate(model.backbone.prepare(samples))).surprise
    return _tensor_digest(b"", surprise).hex()


def _tensor_digest(begin: bytes, *tensors: Tensor) -> bytes:
    digest = blake2b(begin, digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.digest()

"""Modality-incremental learning: which modality arrives in which stage, arXiv 2410.20178 section 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.question_config import AnyQuestions, ModalityIncremental, ModalityStage, PreparedData
from dist_mcl.scenario.questions.readers import read_questions
from dist_mcl.scenario.questions.splits import Questions
from dist_mcl.scenario.questions.tables import check_sums
from dist_mcl.scenario.tables import folder_of


@dataclass(frozen=True, eq=False)
class StageQuestions:
    """What one stage brings.

    Attributes:
        number: from 1.
        modality: the one that is new.
        train: what is learned from: the data sets of the stage, one after the other.
        tests: what is tested on, by the data set's name: of S[a][b][d], the score after stage a, this stage is b and
            the names are d.
    """

    number: int
    modality: str
    train: Questions
    tests: Mapping[str, Questions]


def modality_stages(scenario: ModalityIncremental) -> list[StageQuestions]:
    """All stages in their order. Sample numbers are unique over all of them.

    Raises:
        UserError: data are missing or of another layout, a split has no questions, or a tokenizer cannot be made.
    """
    stages: list[StageQuestions] = []
    first_id = 0
    for number, config in enumerate(scenario.stages, start=1):
        stage = _stage(number, config, first_id)
        first_id += len(stage.train) + sum(map(len, stage.tests.values()))
        stages.append(stage)
    return stages


def check_data(scenario: ModalityIncremental, stages: Sequence[StageQuestions]) -> None:
    """See, before a run begins, that every media file is there, and that prepared sets are as they were made.

    Raises:
        UserError: one is not; names it.
    """
    sources = [source for stage in scenario.stages for source in (*stage.data, *stage.test_only)]
    prepared = {source.folder or folder_of(source.dataset) for source in sources if isinstance(source, PreparedData)}
    for folder in sorted(prepared):
        check_sums(folder)
    for stage in stages:
        for questions in (stage.train, *stage.tests.values()):
            questions.check()


def _stage(number: int, config: ModalityStage, first_id: int) -> StageQuestions:
    tokenizer = open_media_tokenizer(config.tokens)
    place = f"scenario.stages.{number - 1}"
    items = [item for source in config.data for item in read_questions(source, config.modality, "train")]
    if not items:
        raise UserError(f"{place}.data: has no questions about {config.modality} to learn from; see docs/data.md")
    train = Questions(config.modality, tokenizer, items, first_id)
    first_id += len(items)
    tests = {}
    for name, source in _named([*config.data, *config.test_only]).items():
        items = read_questions(source, config.modality, "test")
        if not items:
            raise UserError(f"{place}: the data set {name} has no test questions about {config.modality}")
        tests[name] = Questions(config.modality, tokenizer, items, first_id)
        first_id += len(items)
    return StageQuestions(number, config.modality, train, tests)


def _named(sources: Sequence[AnyQuestions]) -> dict[str, AnyQuestions]:
    """Data sets by name; of two of the same name the second gets `#2`."""
    found: dict[str, AnyQuestions] = {}
    for source in sources:
        same = sum(name.partition("#")[0] == source.dataset for name in found)
        found[f"{source.dataset}#{same + 1}" if same else source.dataset] = source
    return found

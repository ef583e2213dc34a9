"""Modality-incremental learning: which modality arrives in which stage, arXiv 2410.20178 section 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.question_config import AnyQuestions, ModalityIncremental, ModalityStage, PreparedData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import read_questions
from dist_mcl.scenario.questions.splits import QuestionItem, Questions
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

    def splits(self) -> dict[str, Questions]:
        """All of them, by a name for people."""
        tests = {f"test of {name}": questions for name, questions in self.tests.items()}
        named = {"train": self.train, **tests}
        return {f"stage {self.number}, {self.modality}, {name}": questions for name, questions in named.items()}


def modality_stages(scenario: ModalityIncremental) -> list[StageQuestions]:
    """All stages in their order. Sample numbers are unique over all of them.

    Raises:
        UserError: as `read_stage`.
    """
    stages: list[StageQuestions] = []
    first_id = 0
    for number, config in enumerate(scenario.stages, start=1):
        stage = read_stage(number, config, first_id)
        first_id += sum(map(len, stage.splits().values()))
        stages.append(stage)
    return stages


def read_stage(number: int, config: ModalityStage, first_id: int = 0) -> StageQuestions:
    """One stage.

    Args:
        number: from 1.
        first_id: number of its first sample; they are counted on.

    Raises:
        UserError: data are missing or of another layout, a split has no questions, or a tokenizer cannot be made.
    """
    place = f"scenario.stages.{number - 1}"
    tokenizer = open_media_tokenizer(config.tokens, f"{place}.tokens")
    learned = list(_placed(f"{place}.data", config.data))

    def read(sources: Sequence[_Placed], split: Split, field: str) -> Questions:
        nonlocal first_id
        chosen = [read_questions(one.config, config.modality, split, one.place) for one in sources]
        items = [item for one in chosen for item in one.items]
        left_out = [item for one in chosen for item in one.left_out]
        if not items:
            raise _has_none(field, config.modality, split, left_out)
        first_id += len(items)
        return Questions(config.modality, tokenizer, items, first_id - len(items), len(left_out))

    train = read(learned, "train", f"{place}.data")
    tested = _named([*learned, *_placed(f"{place}.test_only", config.test_only)])
    tests = {name: read([one], "test", one.place) for name, one in tested.items()}
    return StageQuestions(number, config.modality, train, tests)


def check_data(configs: Sequence[ModalityStage], stages: Sequence[StageQuestions]) -> None:
    """See, before a run begins, that every media file is there, and that prepared sets are as they were made.

    Args:
        configs: of these stages.

    Raises:
        UserError: one is not; names it.
    """
    sources = [source for config in configs for source in (*config.data, *config.test_only)]
    prepared = {source.folder or folder_of(source.dataset) for source in sources if isinstance(source, PreparedData)}
    for folder in sorted(prepared):
        check_sums(folder)
    for stage in stages:
        for questions in stage.splits().values():
            questions.check()


def left_out(stages: Sequence[StageQuestions]) -> list[str]:
    """A line for each split that is without some of its questions, since their media files are not there."""
    return [
        f"{name}: {_counted(questions.left_out)}"
        for stage in stages
        for name, questions in stage.splits().items()
        if questions.left_out
    ]


def _counted(left_out: int) -> str:
    if left_out == 1:
        return "1 question is left out, since its media file is not there"
    return f"{left_out} questions are left out, since their media files are not there"


@dataclass(frozen=True)
class _Placed:
    """A data set of a stage, and where the experiment names it."""

    place: str
    config: AnyQuestions


def _placed(field: str, sources: Sequence[AnyQuestions]) -> Iterator[_Placed]:
    for number, source in enumerate(sources):
        yield _Placed(f"{field}.{number}" if len(sources) > 1 else field, source)


def _named(sources: Sequence[_Placed]) -> dict[str, _Placed]:
    """Data sets by name; of two of the same name the second gets `#2`."""
    found: dict[str, _Placed] = {}
    for source in sources:
        same = sum(name.partition("#")[0] == source.config.dataset for name in found)
        found[f"{source.config.dataset}#{same + 1}" if same else source.config.dataset] = source
    return found


def _has_none(place: str, modality: str, split: Split, left_out: Sequence[QuestionItem]) -> UserError:
    purpose = "to learn from" if split == "train" else "to test on"
    if not left_out:
        return UserError(f"{place}: has no questions about {modality} {purpose}; see docs/data.md")
    return UserError(
        f"{place}: of all {len(left_out)} questions about {modality} {purpose} the media files are not there, such as "
        f"{left_out[0].source}; bring them, or mend the folder"
    )

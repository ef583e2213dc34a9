"""One split of a data set of questions: what a reader knows before any media file is read, and its samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import MediaError, MediaTokenizer
from dist_mcl.question_config import AnyQuestions
from dist_mcl.scenario.dataset import Split
from dist_mcl.tokens import QuestionAnswer, Sample


@dataclass(frozen=True)
class QuestionItem:
    """One question about one media file, not read yet.

    Attributes:
        source: what people call the media: the file, or the file and the place in it. Questions about the same media
            have the same source.
        open: a stream of the media file; raises FileNotFoundError.
    """

    question: QuestionAnswer
    source: str
    open: Callable[[], BinaryIO]


class Questions:
    """Questions as samples; media are read when they are asked for.

    Args:
        modality: under which a sample carries its tokens.
        tokenizer: of the modality.
        items: what is asked.
        first_id: number of the first sample; they are counted on.

    Attributes:
        ids: int64 (n,), sample numbers, ascending.
        questions: what is asked of each sample.
    """

    def __init__(
        self, modality: str, tokenizer: MediaTokenizer, items: Sequence[QuestionItem], first_id: int = 0
    ) -> None:
        self.modality, self.tokenizer = modality, tokenizer
        self._items = tuple(items)
        self.ids: NDArray[np.int64] = np.arange(first_id, first_id + len(items), dtype=np.int64)
        self.questions = tuple(item.question for item in items)

    def __len__(self) -> int:
        return len(self._items)

    def source(self, index: int) -> str:
        """What people call a sample's media."""
        return self._items[index].source

    def media(self, index: int) -> NDArray[Any]:
        """A sample's media as the tokenizer reads it.

        Raises:
            UserError: the file is missing or damaged; names it.
        """
        item = self._items[index]
        return _mended(item, lambda stream: self.tokenizer.read(stream))

    def sample(self, index: int, stage: int) -> Sample:
        """The sample as tokens of its modality, with its question. Raises as `media` does."""
        item = self._items[index]
        try:
            tokens = self.tokenizer.encode(self.media(index))
        except ValueError as error:
            raise UserError(f"{item.source}: {error}; mend the file, or tokens of {self.modality}") from error
        return Sample({self.modality: tokens}, target=item.question, id=int(self.ids[index]), stage=stage)

    def check(self) -> None:
        """See, before a run begins, that every media file is there and not empty.

        Raises:
            UserError: one is not; names it.
        """
        for item in {item.source: item for item in self._items}.values():
            if not _mended(item, lambda stream: stream.read(1)):
                raise UserError(f"{item.source}: is empty; bring a whole file")


_Read = TypeVar("_Read")


def _mended(item: QuestionItem, read: Callable[[BinaryIO], _Read]) -> _Read:
    """What `read` makes of a media file; its errors name the file."""
    try:
        with item.open() as stream:
            return read(stream)
    except FileNotFoundError as error:
        raise UserError(
            f"{item.source}: no such file; bring it back, or set data.missing_media: skip to leave such questions out"
        ) from error
    except (MediaError, OSError) as error:
        raise UserError(f"{item.source}: {error}; bring a whole file") from error


def chosen(items: Sequence[QuestionItem], config: AnyQuestions, split: Split) -> list[QuestionItem]:
    """The items of the tasks that are asked for, or so many of each, evenly spaced, to be answered as is configured.

    Args:
        items: of one split.

    Raises:
        UserError: none of them is of a task that is asked for, or of one whose generation is said.
    """
    _check_there("data.tasks", config.tasks or (), items, config, split)
    if split == "test":
        _check_there("data.generation", config.generation, items, config, split)
    own = config.max_test_questions if split == "test" else None
    most = config.max_questions if own is None else own
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        task = item.question.task
        if task in config.tasks if config.tasks else task not in config.on_request:
            numbers[task].append(number)
    return [_as_said(items[n], config) for n in sorted(n for those in numbers.values() for n in _spread(those, most))]


def _check_there(
    field: str, tasks: Iterable[str], items: Sequence[QuestionItem], config: AnyQuestions, split: Split
) -> None:
    there = sorted({item.question.task for item in items})
    unknown = [task for task in tasks if items and task not in there]
    if unknown:
        raise UserError(
            f"{field}: the {split} split of {config.dataset} has no task {unknown[0]!r}; choose from {', '.join(there)}"
        )


def _as_said(item: QuestionItem, config: AnyQuestions) -> QuestionItem:
    how = config.generation.get(item.question.task)
    return item if how is None else replace(item, question=replace(item.question, generation=how))


def _spread(numbers: Sequence[int], most: int | None) -> list[int]:
    if most is None or most >= len(numbers):
        return list(numbers)
    return [numbers[math.floor(place * len(numbers) / most)] for place in range(most)]

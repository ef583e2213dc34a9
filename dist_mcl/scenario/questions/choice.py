"""Which of a data set's questions are asked: those of some tasks, about media that are there, and so many of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dist_mcl.errors import UserError
from dist_mcl.question_config import AnyQuestions, PreparedData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.splits import QuestionItem


@dataclass(frozen=True)
class Chosen:
    """What is asked of one split of a data set.

    Attributes:
        items: in the order of the data.
        left_out: what would be asked, too, if its media file were there; empty unless such questions are to be skipped.
    """

    items: list[QuestionItem]
    left_out: list[QuestionItem]


def choose(items: Sequence[QuestionItem], config: AnyQuestions, split: Split, place: str) -> Chosen:
    """The items of the tasks that are asked for, or so many of each, evenly spaced, to be answered as is configured.

    Args:
        items: of one split.
        place: where the experiment names the data set, for messages.

    Raises:
        UserError: none of them is of a task that is asked for, or of one whose generation is said.
    """
    _check_there(f"{place}.tasks", config.tasks or (), items, config, split)
    if split == "test":
        _check_there(f"{place}.generation", config.generation, items, config, split)
    asked = [item for item in items if _is_asked(item.question.task, config)]
    lost = _lost(asked) if not isinstance(config, PreparedData) and config.missing_media == "skip" else set()
    there = [item for item in asked if item.source not in lost]
    chosen = [_as_said(item, config, place) for item in _evenly(there, _most(config, split))]
    return Chosen(chosen, [item for item in asked if item.source in lost])


def _check_there(
    field: str, tasks: Iterable[str], items: Sequence[QuestionItem], config: AnyQuestions, split: Split
) -> None:
    there = sorted({item.question.task for item in items})
    unknown = [task for task in tasks if items and task not in there]
    if unknown:
        raise UserError(
            f"{field}: the {split} split of {config.dataset} has no task {unknown[0]!r}; choose from {', '.join(there)}"
        )


def _is_asked(task: str, config: AnyQuestions) -> bool:
    return task in config.tasks if config.tasks else task not in config.on_request


def _lost(items: Iterable[QuestionItem]) -> set[str]:
    """The media whose file is not there, each looked for once."""
    files = {item.source: item.file for item in items}
    return {source for source, file in files.items() if file is not None and not file.is_file()}


def _most(config: AnyQuestions, split: Split) -> int | None:
    own = config.max_test_questions if split == "test" else None
    return config.max_questions if own is None else own


def _evenly(items: Sequence[QuestionItem], most: int | None) -> list[QuestionItem]:
    """So many of each task, in the order of all."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        numbers[item.question.task].append(number)
    return [items[number] for number in sorted(n for those in numbers.values() for n in _spread(those, most))]


def _spread(numbers: Sequence[int], most: int | None) -> list[int]:
    if most is None or most >= len(numbers):
        return list(numbers)
    return [numbers[math.floor(place * len(numbers) / most)] for place in range(most)]


def _as_said(item: QuestionItem, config: AnyQuestions, place: str) -> QuestionItem:
    how = config.generation.get(item.question.task)
    question = item.question if how is None else replace(item.question, generation=how)
    return replace(item, question=question, place=place)

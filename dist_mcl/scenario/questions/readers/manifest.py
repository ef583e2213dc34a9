"""Questions of your own, in JSON lines.

    train.jsonl test.jsonl     {"media": "walks/3.csv", "question": "What is the person doing?", "answers": ["walking"]}
    walks/3.csv

`answer` may take the place of `answers`; `task` and `candidates` may be added. `"votes": true` says that `answers` are
those of several people, one each, so that equal ones are repeated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dist_mcl.answer_config import AS_CAPTIONS
from dist_mcl.errors import UserError
from dist_mcl.question_config import ManifestData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers.rows import Row, media_item
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside, read_jsonl
from dist_mcl.tokens import QuestionAnswer

_PAGE = "docs/add-a-modality.md"
_KEYS = frozenset({"media", "question", "answer", "answers", "task", "candidates", "votes"})


def read(config: ManifestData, modality: str, split: Split) -> list[QuestionItem]:
    """The questions of one file.

    Raises:
        UserError: the file is missing, or a line is of another layout.
    """
    return _items(config.folder, config.folder / f"{split}.jsonl")


def _items(folder: Path, path: Path) -> list[QuestionItem]:
    items: list[QuestionItem] = []
    votes: dict[str, bool] = {}
    for number, row in read_jsonl(path):
        place = f"{path}: line {number}"
        asked = _question(row, place)
        if votes.setdefault(asked.task, asked.votes) != asked.votes:
            raise UserError(f"{place}: votes is not as in earlier lines of task {asked.task!r}; give them another task")
        items.append(media_item(asked, inside(folder, _field(row, "media", place), place)))
    return items


def _question(row: Row, place: str) -> QuestionAnswer:
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise UserError(f"{place}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(_KEYS))}")
    row = {name: value for name, value in row.items() if value is not None}  # null is as good as left out
    if {"answer", "answers"} <= row.keys():
        raise UserError(f"{place}: has both 'answer' and 'answers'; keep one of them")
    question, task = _text(row, "question", place), _text({"task": "qa", **row}, "task", place)
    answers = (_text(row, "answer", place),) if "answer" in row else _texts(row, "answers", place)
    candidates = _texts({"candidates": [], **row}, "candidates", place)
    votes = row.get("votes", False)
    if not isinstance(votes, bool):
        raise UserError(f"{place}: votes {_short(votes)} must be true or false; mend the line")
    if votes and task in AS_CAPTIONS:
        raise UserError(
            f"{place}: votes true, but task {task!r} is scored as captions are, which have none; mend the line"
        )
    try:
        return QuestionAnswer(question, answers, candidates, task, votes)
    except ValueError as error:
        raise UserError(f"{place}: {error}; mend the line") from error


def _text(row: Row, name: str, place: str) -> str:
    value = _field(row, name, place)
    if not _is_text(value):
        raise UserError(f"{place}: {name} {_short(value)} is no text; {_PAGE} shows the layout")
    return str(value)


def _texts(row: Row, name: str, place: str) -> tuple[str, ...]:
    value = _field(row, name, place)
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise UserError(f"{place}: {name} {_short(value)} is no list of texts; {_PAGE} shows the layout")
    return tuple(value)


def _field(row: Row, name: str, place: str) -> Any:
    if row.get(name) is None:
        raise UserError(f"{place}: has no {name!r}; {_PAGE} shows the layout")
    return row[name]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _short(value: Any) -> str:
    return repr(value)[:80]

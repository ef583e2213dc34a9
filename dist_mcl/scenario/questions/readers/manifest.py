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
        items.append(media_item(asked, inside(folder, row.get("media"), place)))
    return items


def _question(row: Row, place: str) -> QuestionAnswer:
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise UserError(f"{place}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(_KEYS))}")
    answers = row.get("answers", [row["answer"]] if "answer" in row else [])
    given = {"question": [row.get("question")], "answers": answers, "candidates": row.get("candidates", [])}
    for name, value in given.items():
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise UserError(f"{place}: {name} {_short(value)} is no text; docs/data.md shows the layout")
    task, votes = str(row.get("task", "qa")), row.get("votes", False)
    if not isinstance(votes, bool):
        raise UserError(f"{place}: votes {_short(votes)} must be true or false; mend the line")
    if votes and task in AS_CAPTIONS:
        raise UserError(
            f"{place}: votes true, but task {task!r} is scored as captions are, which have none; mend the line"
        )
    try:
        return QuestionAnswer(row["question"], tuple(answers), tuple(given["candidates"]), task, votes)
    except ValueError as error:
        raise UserError(f"{place}: {error}; mend the line") from error


def _short(value: Any) -> str:
    return repr(value)[:80]

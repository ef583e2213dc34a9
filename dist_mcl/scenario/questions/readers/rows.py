"""Annotation files of the official layouts: their rows, and the media that they name."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dist_mcl.errors import UserError
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import read_json
from dist_mcl.tokens import QuestionAnswer

Row = Mapping[str, Any]


def json_rows(path: Path, *fields: str) -> Iterator[tuple[str, Row]]:
    """Places (for people) and rows of a JSON list of objects.

    Args:
        fields: keys that each row must have.

    Raises:
        UserError: the file is missing or of another layout, or a row lacks a key.
    """
    yield from _checked(path, enumerate(read_json(path, list)), fields)


def csv_rows(path: Path, *fields: str) -> Iterator[tuple[str, Row]]:
    """Places and rows of a CSV file with a head line. Raises as `json_rows`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; docs/data.md shows the layout") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}); get it again") from error
    yield from _checked(path, enumerate(rows, start=2), fields)


def text_of(row: Row, field: str, place: str) -> str:
    """A field that holds a text. Raises UserError where it is empty or something else."""
    value = row[field]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place}: {field} {value!r} is no text; mend the row")
    return value.strip()


def media_item(question: QuestionAnswer, path: Path) -> QuestionItem:
    """A question about a file of its own."""
    return QuestionItem(question, str(path), _Opens(path), path)


class _Opens:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> BinaryIO:
        return self._path.open("rb")


def prompted(prompt: str, question: str) -> str:
    """A question in the words in which PathWeave's evaluation asks it; `{}` in the prompt stands for it."""
    return prompt.replace("{}", question)


def grouped(rows: Iterator[tuple[str, Row]], key: Callable[[Row], object]) -> dict[object, list[tuple[str, Row]]]:
    """Rows by what `key` gives, in the order in which each first comes."""
    found: dict[object, list[tuple[str, Row]]] = {}
    for place, row in rows:
        found.setdefault(key(row), []).append((place, row))
    return found


def _checked(path: Path, rows: Any, fields: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for number, row in rows:
        place = f"{path}: row {number}"
        missing = [name for name in fields if not isinstance(row, dict) or row.get(name) is None]
        if missing:
            raise UserError(f"{place}: has no {missing[0]!r}; docs/data.md shows the layout")
        yield place, row

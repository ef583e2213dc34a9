"""Reading samples.jsonl: what `exemplar-store import` is told about the samples in a folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exemplar_store.errors import StoreError, first_problem

SAMPLES = "samples.jsonl"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

Whole = Annotated[int, Field(ge=0, lt=1 << 63)]
Places = list[Annotated[int, Field(ge=0, lt=1 << 24)]]


class Line(BaseModel):
    """A line of samples.jsonl. One of image, text and tokens is needed; the rest may be left out.

    Attributes:
        label: class, by number or by name.
        image: path inside the folder.
        kept: numbers of the patches to keep, row after row; all if left out.
        text: turned into token ids by the tokenizer.
        tokens: token ids, instead of a text.
        kept_tokens: places of the tokens to keep; all if left out.
        rank: place in the class, 0 for the best; the order of the lines if left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    label: Whole | str
    image: str | None = None
    kept: Places | None = None
    text: str | None = None
    tokens: list[Annotated[int, Field(ge=0, lt=1 << 31)]] | None = None
    kept_tokens: Places | None = None
    further_labels: list[Whole | str] = []
    question: str = ""
    answer: str = ""
    sample_id: Whole | None = None
    rank: Whole | None = None
    stage: Whole = 1
    score: float = 0.0


@dataclass(frozen=True)
class Sample:
    """A line with everything filled in, and where it stands for error messages."""

    where: str
    line: Line
    sample_id: int
    label: int
    rank: int
    further_labels: tuple[int, ...]


def parse_bytes(text: str) -> int:
    """Bytes of ``30MB``, ``512 KiB`` or a plain number.

    Raises:
        StoreError: it is something else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2].upper() not in UNITS:
        raise StoreError(f"budget is {text!r}; write a size such as 300kB, 512KiB or 30MB")
    return round(Decimal(match[1]) * UNITS[match[2].upper()])


def read_samples(folder: Path) -> tuple[list[Sample], dict[int, str]]:
    """The lines of samples.jsonl, checked and filled in, and names by class id.

    Classes that are named get numbers in the order in which they first appear.

    Raises:
        StoreError: the file cannot be read, or a line is not as it should be.
    """
    path = folder / SAMPLES
    try:
        rows = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: {getattr(error, 'strerror', None) or error}; it describes the samples") from error
    lines = [
        (f"{path}: line {number}", _line(f"{path}: line {number}", row)) for number, row in enumerate(rows, 1) if row
    ]
    if not lines:
        raise StoreError(f"{path}: holds no samples; write a JSON object a line, see `exemplar-store import --help`")
    mentioned = [label for _, line in lines for label in (line.label, *line.further_labels)]
    if len({type(label) for label in mentioned}) > 1:
        raise StoreError(f"{path}: some classes are numbers and some are names; use one of them for all")
    ids = {label: label if isinstance(label, int) else number for number, label in enumerate(dict.fromkeys(mentioned))}
    ranks: Counter[int] = Counter()
    samples = []
    for number, (where, line) in enumerate(lines):
        label = ids[line.label]
        further = tuple(sorted({ids[one] for one in line.further_labels} - {label}))
        rank = ranks[label] if line.rank is None else line.rank
        sample_id = number if line.sample_id is None else line.sample_id
        samples.append(
            Sample(where=where, line=line, sample_id=sample_id, label=label, rank=rank, further_labels=further)
        )
        ranks[label] += 1
    return samples, {number: label for label, number in ids.items() if isinstance(label, str)}


def _line(where: str, row: str) -> Line:
    try:
        line = Line.model_validate_json(row)
    except ValidationError as error:
        raise StoreError(f"{where}: {first_problem(error)}") from error
    if line.image is None and line.text is None and line.tokens is None:
        raise StoreError(f"{where}: has no image, text or tokens; give one of them")
    if line.text is not None and line.tokens is not None:
        raise StoreError(f"{where}: has a text and tokens; give one of them")
    return line

"""The Parquet files of a set that `mcl data prepare` makes: media by modality, and the questions about them.

A set is a folder with `questions.parquet`, a `MODALITY.parquet` for each modality that is asked about, and `SHA256SUMS`
of all files, as `sha256sum --check` reads it. `readers.prepared` reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dist_mcl.errors import UserError
from dist_mcl.files import sha256
from dist_mcl.scenario.tables import mend, read_table

QUESTIONS = "questions.parquet"
SUMS = "SHA256SUMS"
_METADATA_KEY = b"dist_mcl"

QUESTION_SCHEMA = pa.schema(
    {
        "modality": pa.string(),
        "media": pa.int32(),  # row of MODALITY.parquet
        "task": pa.string(),
        "question": pa.string(),
        "answers": pa.list_(pa.string()),
        "split": pa.string(),  # train or test
    }
)
MEDIA_SCHEMA = pa.schema(
    {
        "name": pa.string(),  # of the model or instrument
        "source": pa.string(),  # catalogue or sound font, and the place in it
        "label": pa.string(),  # its class
        "group": pa.int32(),  # what shares a group is on one side of the split
        "split": pa.string(),
        "media": pa.binary(),  # a whole file: WebP, PNG, .npy or FLAC
    }
)


@dataclass(frozen=True)
class QuestionsInfo:
    """What holds for a whole set; kept in the metadata of `questions.parquet`.

    Attributes:
        title: one line for people.
        licence: SPDX expression of the set as a whole.
        candidates: all answers of the tasks that have few, by task.
    """

    title: str
    licence: str
    candidates: dict[str, tuple[str, ...]]


def write_questions(
    folder: Path, questions: dict[str, list[Any]], media: dict[str, dict[str, list[Any]]], info: QuestionsInfo
) -> None:
    """Write all tables of a set from one list per column; media by modality."""
    metadata = {_METADATA_KEY: json.dumps(asdict(info))}
    pq.write_table(
        pa.table(questions, schema=QUESTION_SCHEMA.with_metadata(metadata)), folder / QUESTIONS, compression="zstd"
    )
    for modality, columns in media.items():
        pq.write_table(pa.table(columns, schema=MEDIA_SCHEMA), folder / f"{modality}.parquet", compression="zstd")


def read_info(folder: Path) -> tuple[pa.Table, QuestionsInfo]:
    """All questions of a set and what holds for the whole.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    path = folder / QUESTIONS
    table = read_table(path, QUESTION_SCHEMA)
    try:
        raw = json.loads((table.schema.metadata or {})[_METADATA_KEY])
        candidates = {task: tuple(answers) for task, answers in raw["candidates"].items()}
        return table, QuestionsInfo(str(raw["title"]), str(raw["licence"]), candidates)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: carries no data set description; {mend(path)}") from error


def read_media(folder: Path, modality: str) -> pa.Table:
    """All media of a modality. Raises UserError as `read_info` does."""
    return read_table(folder / f"{modality}.parquet", MEDIA_SCHEMA)


def write_sums(folder: Path) -> None:
    """Write down what every file of a folder holds, in the form of `sha256sum`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> None:
    """See that every file holds what was written.

    Raises:
        UserError: one is missing or has changed, or the sums are.
    """
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {mend(path)}") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        file = folder / name
        if not file.is_file() or sha256(file) != digest:
            raise UserError(f"{file}: is not what was written there; {mend(path)}")

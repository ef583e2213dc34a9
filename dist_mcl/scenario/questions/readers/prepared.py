"""The sets that `mcl data prepare shapes|notes` makes, read from their Parquet files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from dist_mcl.errors import UserError
from dist_mcl.question_config import NotesData, ShapesData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.questions.tables import QUESTIONS, read_info, read_media
from dist_mcl.scenario.tables import folder_of, mend
from dist_mcl.tokens import QuestionAnswer


def read(config: ShapesData | NotesData, modality: str, split: Split) -> list[QuestionItem]:
    """The questions of one split.

    Raises:
        UserError: the set is missing or damaged.
    """
    folder = config.folder or folder_of(config.dataset)
    questions, info = read_info(folder)
    media = read_media(folder, modality).combine_chunks()
    items = []
    # Of a table that has all modalities' questions these rows alone become Python's objects.
    is_asked = pc.and_(pc.equal(questions["modality"], modality), pc.equal(questions["split"], split))
    numbers, rows = pc.indices_nonzero(is_asked), questions.filter(is_asked)
    for number, row in zip(numbers.to_pylist(), rows.to_pylist(), strict=True):
        place = row["media"]
        if not 0 <= place < len(media):
            raise UserError(f"{folder / QUESTIONS}: row {number} asks of what is not there; {mend(folder / QUESTIONS)}")
        candidates = info.candidates.get(row["task"], ())
        asked = QuestionAnswer(row["question"], tuple(row["answers"]), candidates, row["task"])
        items.append(QuestionItem(asked, _source(folder, modality, place), _Row(media, place)))
    return items


def _source(folder: Path, modality: str, row: int) -> str:
    return f"{folder / modality}.parquet: row {row}"


class _Row:
    """Opens one media file that lies in a table."""

    def __init__(self, media: pa.Table, row: int) -> None:
        self._media, self._row = media, row

    def __call__(self) -> BinaryIO:
        return io.BytesIO(self._media["media"][self._row].as_py())

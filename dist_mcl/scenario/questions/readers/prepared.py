"""The sets that `mcl data prepare shapes|notes` makes, read from their Parquet files.

Captions are put into words here, of what the files say of each medium. So every set that was ever made has them.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from dist_mcl.answer_config import Generation
from dist_mcl.errors import UserError
from dist_mcl.question_config import NotesData, ShapesData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers.films import CAPTION
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.questions.tables import QUESTIONS, read_info, read_media
from dist_mcl.scenario.tables import folder_of, mend
from dist_mcl.tokens import QuestionAnswer

_CAPTIONS = Generation(max_tokens=32)  # of up to 20 words, the greedy way of the sets' other answers


def read(config: ShapesData | NotesData, modality: str, split: Split) -> list[QuestionItem]:
    """The questions of one split, and behind them a caption (task caption) of each medium.

    Raises:
        UserError: the set is missing or damaged.
    """
    folder = config.folder or folder_of(config.dataset)
    questions, info = read_info(folder)
    media = read_media(folder, modality).combine_chunks()
    items = []
    # Of a table that has all modalities' questions these rows alone become Python's objects.
    is_asked = pc.and_(pc.equal(questions["modality"], modality), pc.equal(questions["split"], split))
    numbers, rows = pc.indices_nonzero(is_asked), questions.filter(is_asked).to_pylist()
    for number, row in zip(numbers.to_pylist(), rows, strict=True):
        place = row["media"]
        if not 0 <= place < len(media):
            raise UserError(f"{folder / QUESTIONS}: row {number} asks of what is not there; {mend(folder / QUESTIONS)}")
        candidates = info.candidates.get(row["task"], ())
        asked = QuestionAnswer(row["question"], tuple(row["answers"]), candidates, row["task"])
        items.append(QuestionItem(asked, _source(folder, modality, place), _Row(media, place)))
    in_words = _IN_WORDS[config.dataset]
    answered: dict[int, dict[str, str]] = defaultdict(dict)
    for row in rows:
        answered[row["media"]][row["task"]] = row["answers"][0]
    for place, row in enumerate(media.drop_columns("media").to_pylist()):
        if row["split"] == split:
            asked = QuestionAnswer(CAPTION, (in_words(row, answered[place]),), task="caption", generation=_CAPTIONS)
            items.append(QuestionItem(asked, _source(folder, modality, place), _Row(media, place)))
    return items


def _of_model(row: Mapping[str, str], answered: Mapping[str, str]) -> str:
    caption = f"{row['name'].lower()}, a kind of {row['label'].replace('_', ' ')}"
    return f"{caption}, that {answered['motion']}" if "motion" in answered else caption


def _of_note(row: Mapping[str, str], answered: Mapping[str, str]) -> str:
    note = f"{answered['register']} note" if "register" in answered else "note"
    return f"{note} of {row['name'].lower()}, of the family {row['label']}"


_IN_WORDS = {"shapes": _of_model, "notes": _of_note}


def _source(folder: Path, modality: str, row: int) -> str:
    return f"{folder / modality}.parquet: row {row}"


class _Row:
    """Opens one media file that lies in a table."""

    def __init__(self, media: pa.Table, row: int) -> None:
        self._media, self._row = media, row

    def __call__(self) -> BinaryIO:
        return io.BytesIO(self._media["media"][self._row].as_py())

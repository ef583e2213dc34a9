"""ESC-50 as its repository unpacks.

meta/esc50.csv                filename,fold,target,category,...
audio/1-100032-A-0.wav
"""

from __future__ import annotations

from dist_mcl.errors import UserError
from dist_mcl.question_config import ESC50Data
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.rows import csv_rows, media_item, text_of
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside
from dist_mcl.tokens import QuestionAnswer


def read(config: ESC50Data, modality: str, split: Split) -> list[QuestionItem]:
    """ESC-50's sounds, each to be told from the 50 classes.

    Raises:
        UserError: its layout is another one.
    """
    path = config.folder / "meta" / "esc50.csv"
    rows = list(csv_rows(path, "filename", "fold", "category"))
    names = [text_of(row, "category", place).replace("_", " ") for place, row in rows]
    classes = tuple(sorted(set(names)))
    candidates = tuple(map(_ranked, classes))
    items: list[QuestionItem] = []
    for (place, row), name in zip(rows, names, strict=True):
        if row["fold"] not in ("1", "2", "3", "4", "5"):
            raise UserError(f"{place}: fold {row['fold']!r} is none of 1 to 5; get the file again")
        if (int(row["fold"]) == config.test_fold) == (split == "test"):
            asked = QuestionAnswer(
                "describe the audio.",
                (_ranked(name),),
                candidates,
                task="classification",
                generation=published.ESC50_CLASSES,
                names=classes,
            )
            items.append(media_item(asked, inside(config.folder / "audio", row["filename"], place)))
    return items


def _ranked(name: str) -> str:
    """A class as PathWeave ranks it."""
    return f"an audio of {name}"

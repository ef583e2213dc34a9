"""Objaverse's point clouds with Cap3D's captions and the questions that X-InstructBLIP's authors made of them.

    annotations/cap3d_cap_final_train.csv cap3d_cap_final_val.csv      sample_id,caption
    annotations/CAP3DQA_final.csv CAP3DQA_final_val.csv                sample_id,question,answer,caption_no_color
    pc_data/SAMPLE_ID_8192.npz                                         arr_0: float32 (8192, 3)

Either kind of annotations may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.question_config import ObjaverseData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.rows import (
    csv_rows,
    media_item,
    prompted,
    text_of,
)
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside
from dist_mcl.tokens import QuestionAnswer

_FILES = {
    "train": ("cap3d_cap_final_train.csv", "CAP3DQA_final.csv"),
    "test": ("cap3d_cap_final_val.csv", "CAP3DQA_final_val.csv"),
}


def read(config: ObjaverseData, modality: str, split: Split) -> list[QuestionItem]:
    """Captions (task caption) and questions (task qa).

    Raises:
        UserError: its layout is another one.
    """
    captions, questions = (config.folder / "annotations" / name for name in _FILES[split])
    if not captions.exists() and not questions.exists():
        raise UserError(f"{captions}: no such file, nor {questions.name}; docs/data.md shows the layout")
    clouds = config.folder / "pc_data"
    items: list[QuestionItem] = []
    if captions.exists():
        items += _captions(captions, clouds)
    if questions.exists():
        items += _answers(questions, clouds)
    return items


def _captions(path: Path, clouds: Path) -> Iterator[QuestionItem]:
    for place, row in csv_rows(path, "sample_id", "caption"):
        answers, how = (text_of(row, "caption", place),), published.OBJAVERSE_CAPTIONS
        asked = QuestionAnswer("describe the 3d model.", answers, task="caption", generation=how)
        yield media_item(asked, _cloud(clouds, row["sample_id"], place))


def _answers(path: Path, clouds: Path) -> Iterator[QuestionItem]:
    for place, row in csv_rows(path, "sample_id", "question", "answer"):
        question = prompted("based on the given input respond to {}.", text_of(row, "question", place))
        answers, how = (text_of(row, "answer", place),), published.OBJAVERSE_ANSWERS
        asked = QuestionAnswer(question, answers, task="qa", generation=how)
        yield media_item(asked, _cloud(clouds, row["sample_id"], place))


def _cloud(clouds: Path, sample_id: str, place: str) -> Path:
    return inside(clouds, f"{sample_id}_8192.npz", place)

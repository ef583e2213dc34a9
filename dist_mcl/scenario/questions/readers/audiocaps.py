"""AudioCaps, and the questions that X-InstructBLIP's authors made of its captions.

annotations/train.csv val.csv test.csv                           audiocap_id,youtube_id,start_time,caption
annotations/audio_qa_final_train.csv audio_qa_final_val.csv      the same, and question,answer
audio/train/YOUTUBE_ID.wav  audio/val/...  audio/test/...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dist_mcl.question_config import AudioCapsData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.films import CAPTION
from dist_mcl.scenario.questions.readers.rows import (
    csv_rows,
    grouped,
    media_item,
    prompted,
    text_of,
)
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside
from dist_mcl.tokens import QuestionAnswer


def read(config: AudioCapsData, modality: str, split: Split) -> list[QuestionItem]:
    """AudioCaps' captions, and its questions where their files are there.

    Raises:
        UserError: its layout is another one.
    """
    part = "train" if split == "train" else config.evaluate_on
    sounds, annotations = config.folder / "audio" / part, config.folder / "annotations"
    items = list(_captions(annotations / f"{part}.csv", sounds, one_by_one=split == "train"))
    questions = annotations / f"audio_qa_final_{part}.csv"
    if questions.exists():
        items += _answers(questions, sounds)
    return items


def _captions(path: Path, sounds: Path, one_by_one: bool) -> Iterator[QuestionItem]:
    rows = grouped(csv_rows(path, "youtube_id", "caption"), lambda row: row["youtube_id"])
    for name, same in rows.items():
        sound = inside(sounds, f"{name}.wav", same[0][0])
        captions = tuple(text_of(row, "caption", place) for place, row in same)
        for answers in [(caption,) for caption in captions] if one_by_one else [captions]:
            yield media_item(QuestionAnswer(CAPTION, answers, task="caption", generation=published.CAPTIONS), sound)


def _answers(path: Path, sounds: Path) -> Iterator[QuestionItem]:
    for place, row in csv_rows(path, "youtube_id", "question", "answer"):
        question = prompted("Question: {} Answer:", text_of(row, "question", place))
        asked = QuestionAnswer(question, (text_of(row, "answer", place),), task="qa", generation=published.ANSWERS)
        yield media_item(asked, inside(sounds, f"{row['youtube_id']}.wav", place))

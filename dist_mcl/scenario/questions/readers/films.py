"""MSR-VTT and MSVD as LAVIS lays them out.

    annotations/cap_train.json cap_val.json cap_test.json   [{"video": "video0.mp4", "caption": ..., "image_id": ...}]
    annotations/qa_train.json qa_val.json qa_test.json      [{"video", "question", "answer", "question_id"}]
    videos/video0.mp4

Either kind of annotations may be missing. The captions of a film are learned from one by one and are all right answers
when it is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.question_config import MSRVTTData, MSVDData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.rows import (
    grouped,
    json_rows,
    media_item,
    prompted,
    text_of,
)
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside
from dist_mcl.tokens import QuestionAnswer

CAPTION = "a short description."


def read_msrvtt(config: MSRVTTData, modality: str, split: Split) -> list[QuestionItem]:
    """MSR-VTT's captions and questions. Raises UserError where its layout is another one."""
    return _read(config, split, "based on the given video respond to {}")


def read_msvd(config: MSVDData, modality: str, split: Split) -> list[QuestionItem]:
    """MSVD's captions and questions. Raises UserError where its layout is another one."""
    return _read(config, split, "Question: {} Answer:")


def _read(config: MSRVTTData | MSVDData, split: Split, prompt: str) -> list[QuestionItem]:
    part = "train" if split == "train" else config.evaluate_on
    captions, questions = (config.folder / "annotations" / f"{kind}_{part}.json" for kind in ("cap", "qa"))
    if not captions.exists() and not questions.exists():
        raise UserError(f"{captions}: no such file, nor {questions.name}; docs/data.md shows the layout")
    videos = config.folder / "videos"
    items: list[QuestionItem] = []
    if captions.exists():
        items += _captions(captions, videos, one_by_one=split == "train")
    if questions.exists():
        items += _answers(questions, videos, prompt)
    return items


def _captions(path: Path, videos: Path, one_by_one: bool) -> Iterator[QuestionItem]:
    for rows in grouped(json_rows(path, "video", "caption"), lambda row: str(row["video"])).values():
        place, row = rows[0]
        video = inside(videos, row["video"], place)
        captions = tuple(text_of(row, "caption", place) for place, row in rows)
        for answers in [(caption,) for caption in captions] if one_by_one else [captions]:
            yield media_item(QuestionAnswer(CAPTION, answers, task="caption", generation=published.CAPTIONS), video)


def _answers(path: Path, videos: Path, prompt: str) -> Iterator[QuestionItem]:
    for place, row in json_rows(path, "video", "question", "answer"):
        question = prompted(prompt, text_of(row, "question", place))
        asked = QuestionAnswer(question, (text_of(row, "answer", place),), task="qa", generation=published.ANSWERS)
        yield media_item(asked, inside(videos, row["video"], place))

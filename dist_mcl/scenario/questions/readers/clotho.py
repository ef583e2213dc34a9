"""Clotho and Clotho-AQA, as their archives unpack.

clotho_captions_development.csv clotho_captions_validation.csv clotho_captions_evaluation.csv
    file_name,caption_1,...,caption_5
development/FILE.wav  validation/FILE.wav  evaluation/FILE.wav

clotho_aqa_train.csv clotho_aqa_val.csv clotho_aqa_test.csv      file_name,QuestionText,answer,confidence
audio_files/FILE.wav
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dist_mcl.question_config import ClothoAQAData, ClothoData
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

_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def read(config: ClothoData, modality: str, split: Split) -> list[QuestionItem]:
    """Clotho's captions: each is learned from by itself, all five are right when a sound is tested.

    Raises:
        UserError: its layout is another one.
    """
    part = "development" if split == "train" else config.evaluate_on
    items = _captions(config.folder, part, one_by_one=split == "train")
    return list(items)


def read_aqa(config: ClothoAQAData, modality: str, split: Split) -> list[QuestionItem]:
    """Clotho-AQA's questions, with the votes of three people each: the answer that most gave comes first.

    Raises:
        UserError: its layout is another one.
    """
    part = "train" if split == "train" else config.evaluate_on
    items = _answers(config.folder / f"clotho_aqa_{part}.csv", config.folder / "audio_files")
    return list(items)


def _captions(folder: Path, split: str, one_by_one: bool) -> Iterator[QuestionItem]:
    for place, row in csv_rows(folder / f"clotho_captions_{split}.csv", "file_name", *_CAPTIONS):
        sound = inside(folder / split, row["file_name"], place)
        captions = tuple(text_of(row, field, place) for field in _CAPTIONS)
        for answers in [(caption,) for caption in captions] if one_by_one else [captions]:
            yield media_item(QuestionAnswer(CAPTION, answers, task="caption", generation=published.CAPTIONS), sound)


def _answers(path: Path, sounds: Path) -> Iterator[QuestionItem]:
    rows = csv_rows(path, "file_name", "QuestionText", "answer")
    for same in grouped(rows, lambda row: (row["file_name"], row["QuestionText"])).values():
        place, row = same[0]
        given = Counter(text_of(one, "answer", where) for where, one in same)
        question = prompted("Question: {} Answer:", text_of(row, "QuestionText", place))
        votes = tuple(answer for answer, count in given.most_common() for _ in range(count))
        asked = QuestionAnswer(question, votes, task="qa", votes=True, generation=published.ANSWERS)
        yield media_item(asked, inside(sounds, row["file_name"], place))

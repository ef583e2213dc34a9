"""Captions of the committed sample, beside its questions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dist_mcl.answer_config import CaptionScoring, Generation
from dist_mcl.evaluation.answers import scores_by_task
from dist_mcl.question_config import AnyQuestions
from dist_mcl.scenario.questions.readers import read_questions
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.questions.tables import read_info, read_media

DATA = Path(__file__).parents[4] / "data"
SETS = [(name, "shapes") for name in ("image", "video", "depth", "point_cloud")] + [("audio", "notes")]


def read(dataset: str, modality: str, split: str, **fields: object) -> list[QuestionItem]:
    config = TypeAdapter(AnyQuestions).validate_python({"dataset": dataset, "folder": DATA / dataset, **fields})
    return read_questions(config, modality, split, "data").items


@pytest.mark.parametrize(("modality", "dataset"), SETS)
def test_every_medium_has_a_caption_for_who_asks_for_it(modality: str, dataset: str) -> None:
    media = read_media(DATA / dataset, modality).drop_columns("media").to_pylist()
    for split in ("train", "test"):
        captions = read(dataset, modality, split, tasks=["caption"])
        of_split = [(number, row) for number, row in enumerate(media) if row["split"] == split]
        assert [item.source.rpartition(" ")[2] for item in captions] == [str(number) for number, _ in of_split]
        for item, (_, row) in zip(captions, of_split, strict=True):
            (caption,) = item.question.answers
            assert row["name"].lower() in caption and row["label"].replace("_", " ") in caption
            assert item.question.generation == Generation(max_tokens=32) and not item.question.candidates
            assert item.open().read(1)


@pytest.mark.parametrize(("modality", "dataset"), SETS)
def test_captions_leave_the_other_questions_as_they_are(modality: str, dataset: str) -> None:
    table, _ = read_info(DATA / dataset)
    written = [row for row in table.to_pylist() if (row["modality"], row["split"]) == (modality, "train")]
    plain = read(dataset, modality, "train")
    assert [(item.question.question, item.question.task) for item in plain] == [
        (row["question"], row["task"]) for row in written
    ]
    tasks = sorted({item.question.task for item in plain})
    both = read(dataset, modality, "train", tasks=[*tasks, "caption"])
    assert [item.question for item in both[: len(plain)]] == [item.question for item in plain]
    assert {item.question.task for item in both[len(plain) :]} == {"caption"}


def test_captions_say_what_is_known_of_a_medium() -> None:
    (first, *_), clips = (read("shapes", name, "test", tasks=["caption"]) for name in ("image", "video"))
    assert first.question.question == "a short description."
    assert first.question.answers == ("armchair, a kind of seat",)
    assert clips[0].question.answers[0].startswith("armchair, a kind of seat, that ")
    motions = Counter(item.question.answers[0].rpartition(", that ")[2] for item in clips)
    asked = read("shapes", "video", "test", tasks=["motion"])
    assert motions == Counter(item.question.answers[0] for item in asked)
    notes = read("notes", "audio", "train", tasks=["caption"])
    assert "high note of flute tb, of the family pipe or flute" in {item.question.answers[0] for item in notes}


def test_captions_of_the_sample_are_scored() -> None:
    asked = [item.question for item in read("notes", "audio", "test", tasks=["caption"])]
    right = [question.answers[0] for question in asked]
    others = [*right[1:], right[0]]
    scores = [scores_by_task(asked, said, CaptionScoring())["caption"] for said in (right, others)]
    assert scores[0]["CIDEr"] > 5 > scores[1]["CIDEr"] > 0
    assert scores[0]["BLEU-4"] == pytest.approx(1) and scores[0]["ROUGE-L"] == pytest.approx(1)

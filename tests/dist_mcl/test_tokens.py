from dataclasses import replace

import numpy as np
import pytest
import torch

from dist_mcl.tokens import Batch, QuestionAnswer, Sample, Tokens

QUESTION = QuestionAnswer("What is it?", ("a chair", "a seat"), task="category")


def a_sample(number: int, target: int | QuestionAnswer, modality: str = "audio", count: int = 2) -> Sample:
    values = np.full((count, 4, 3), number, np.float16)
    return Sample({modality: Tokens.full(values, (count, 1))}, target, id=number, stage=1)


def test_class_ids_are_collated_as_numbers() -> None:
    batch = Batch.collate([a_sample(5, 1), a_sample(7, 0)])
    assert batch.targets.tolist() == [1, 0] and batch.targets.dtype == torch.int64
    assert batch.ids.tolist() == [5, 7] and batch.questions == () and len(batch) == 2


def test_questions_ride_along_as_text() -> None:
    other = QuestionAnswer("Left or right?", ("left",), candidates=("left", "right"))
    batch = Batch.collate([a_sample(5, QUESTION), a_sample(7, other)]).to("cpu")
    assert batch.questions == (QUESTION, other) and len(batch) == 2
    assert batch.targets.shape == (0,)


def test_a_batch_may_mix_modalities() -> None:
    batch = Batch.collate([a_sample(1, QUESTION, "depth", count=3), a_sample(2, QUESTION, "audio")])
    assert sorted(batch.tokens) == ["audio", "depth"]
    assert batch.tokens["depth"].sample.tolist() == [0, 0, 0] and batch.tokens["audio"].sample.tolist() == [1, 1]
    assert batch.tokens["audio"].grids.tolist() == [[0, 0], [2, 1]]


def test_classes_and_questions_do_not_mix() -> None:
    with pytest.raises(ValueError, match="1 of 2 samples have questions"):
        Batch.collate([a_sample(1, QUESTION), a_sample(2, 3)])


def test_a_question_has_no_class() -> None:
    with pytest.raises(TypeError, match=r"sample 1 has no class, it has the question 'What is it\?'"):
        _ = a_sample(1, QUESTION).class_id


def test_a_question_needs_an_answer_among_its_candidates() -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        QuestionAnswer("What?", ())
    with pytest.raises(ValueError, match="'up' is none of the 2 candidates"):
        QuestionAnswer("Left or right?", ("up",), candidates=("left", "right"))


def test_features_and_raw_tokens_of_a_modality_do_not_mix() -> None:
    raw, other = a_sample(1, QUESTION), a_sample(2, QUESTION, "depth")
    prepared = replace(raw, prepared=frozenset({"audio"}))
    assert Batch.collate([prepared, other]).to("cpu").prepared == {"audio"}
    with pytest.raises(ValueError, match="audio: prepared samples and raw ones"):
        Batch.collate([prepared, raw])

import pytest

from dist_mcl.answer_config import CaptionScoring
from dist_mcl.evaluation.answers import (
    exact_match,
    main_score,
    main_score_name,
    named_candidate,
    normalised,
    scale_of,
    scores_by_task,
    vqa_accuracy,
)
from dist_mcl.evaluation.captions import caption_scores
from dist_mcl.tokens import QuestionAnswer

PLAIN = CaptionScoring()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("A Red chair.", "red chair"),
        ("the two   dogs", "2 dogs"),
        ("dont know", "don't know"),
        ("black/white", "black white"),
        ("1,000", "1000"),
        ("3.5 kg", "3.5 kg"),
        ("none", "0"),
        ("yes, it is!", "yes it is"),
        ("t-shirt", "t shirt"),
    ],
)
def test_answers_are_compared_as_vqa_does(said: str, expected: str) -> None:
    assert normalised(said) == expected


def test_an_exact_match_is_one_of_the_right_answers() -> None:
    assert exact_match("The sofa", ["couch", "sofa."]) == 1.0
    assert exact_match("sofa bed", ["couch", "sofa"]) == 0.0


@pytest.mark.parametrize(("agreeing", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_vqa_accuracy_of_ten_annotators(agreeing: int, expected: float) -> None:
    answers = ["yes"] * agreeing + ["no"] * (10 - agreeing)
    assert vqa_accuracy("Yes", answers) == pytest.approx(expected)


@pytest.mark.parametrize(("agreeing", "expected"), [(0, 0.0), (1, 2 / 9), (2, 4 / 9), (3, 2 / 3)])
def test_vqa_accuracy_of_three_annotators_leaves_one_out_too(agreeing: int, expected: float) -> None:
    answers = ["yes"] * agreeing + ["no", "maybe", "dog"][: 3 - agreeing]
    assert vqa_accuracy("yes", answers) == pytest.approx(expected)


LAMPS = QuestionAnswer(
    "What?",
    ("a model of lamp",),
    ("a model of lamp", "a model of night stand", "a model of desk lamp"),
    names=("lamp", "night stand", "desk lamp"),
)


@pytest.mark.parametrize(
    ("said", "candidate"),
    [
        ("A lamp.", "a model of lamp"),
        ("it is a Night Stand, with a lamp", "a model of night stand"),
        ("a lamp, perhaps a desk lamp", "a model of desk lamp"),
        ("lampshade", "lampshade"),
        ("a stand for the night", "a stand for the night"),
        ("", ""),
    ],
)
def test_a_free_answer_names_a_candidate_by_whole_words(said: str, candidate: str) -> None:
    assert named_candidate(said, LAMPS) == candidate


def test_of_names_of_as_many_words_the_first_in_the_list_counts() -> None:
    assert named_candidate("no, or yes", QuestionAnswer("Is it?", ("yes",), ("yes", "no"))) == "yes"


def test_every_candidate_has_a_name_or_none_has() -> None:
    with pytest.raises(ValueError, match="1 names for 2 candidates"):
        QuestionAnswer("Is it?", ("yes",), ("yes", "no"), names=("yes",))


def test_votes_are_of_two_people_at_least() -> None:
    with pytest.raises(ValueError, match="need the answers of at least two people"):
        QuestionAnswer("Where?", ("left",), votes=True)


def test_any_of_many_right_answers_is_right() -> None:
    asked = QuestionAnswer("What?", ("couch", "sofa", "settee", "divan"), task="name")
    found = scores_by_task([asked], ["sofa"], PLAIN)
    assert found == {"name": {"exact_match": 1.0}} and main_score(found["name"]) == 1.0


def test_a_task_has_votes_or_it_has_none() -> None:
    asked = [QuestionAnswer("Where?", ("left",) * 3, votes=voted) for voted in (True, False)]
    with pytest.raises(ValueError, match="some questions of task '' have votes and others not"):
        scores_by_task(asked, ["left", "left"], PLAIN)


@pytest.mark.parametrize("task", ["caption", "conversation"])
def test_sentences_are_scored_as_captions(task: str) -> None:
    right = [
        ("a red chair", "a chair, red"),
        ("a wooden table",),
        ("a hanging lamp",),
        ("a car", "an auto", "a van", "v"),
    ]
    asked = [QuestionAnswer("a short description.", answers, task=task) for answers in right]
    said = [answers[0] for answers in right]
    found = scores_by_task([*asked, QuestionAnswer("What?", ("chair",), task="name")], [*said, "sofa"], PLAIN)
    assert found["name"] == {"exact_match": 0.0} and main_score_name(found[task]) == "CIDEr"
    assert [scale_of(found[name]) for name in ("name", task)] == ["accuracy", "CIDEr"]
    assert found[task] == {"exact_match": 1.0, **caption_scores(said, right, PLAIN)}
    assert found[task]["CIDEr"] > 1 and "vqa_accuracy" not in found[task]


def test_scores_are_kept_apart_by_task() -> None:
    asked = [
        QuestionAnswer("What?", ("chair",), task="category"),
        QuestionAnswer("What?", ("sofa",), task="category"),
        QuestionAnswer("Where?", ("left",) * 10, task="place", votes=True),
    ]
    found = scores_by_task(asked, ["a chair", "table", "left"], PLAIN)
    assert [main_score(found[task]) for task in ("category", "place")] == [0.5, 1.0]
    assert main_score({"exact_match": 0.0, "CIDEr": 2.5}) == 2.5
    assert found == {"category": {"exact_match": 0.5}, "place": {"exact_match": 1.0, "vqa_accuracy": 1.0}}

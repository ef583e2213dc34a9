"""Every official layout is read, on miniature folders, and folders that are not as they should be are refused."""

from __future__ import annotations

import codecs
import io
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import TypeAdapter

from dist_mcl.answer_config import Generation
from dist_mcl.errors import UserError
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.modality_config import TOKENS
from dist_mcl.question_config import AnyQuestions
from dist_mcl.scenario.questions.readers import _READERS, read_questions
from dist_mcl.scenario.questions.readers.pickled_arrays import load_arrays
from dist_mcl.scenario.questions.readers.published import ANSWERS
from dist_mcl.scenario.questions.splits import QuestionItem, Questions
from dist_mcl.tokens import QuestionAnswer

from . import layouts


@dataclass(frozen=True)
class Case:
    """A miniature folder, and what is to be found in it."""

    write: Callable[[Path], None]
    modality: str
    train: int
    test: int
    first: QuestionAnswer  # of the training split, or of the test split of sets for testing only
    last: QuestionAnswer  # of the test split


CAPTION = "a short description."
SOUNDS = ("dog", "washing machine")
MODELS = ("airplane", "night stand")
ESC50 = ("an audio of dog", "an audio of washing machine")
MODELNET = ("a 3d model of a airplane.", "a 3d model of a night stand.")
SUN = (
    *("furniture store", "bedroom", "classroom", "living room", "office", "study space", "corridor", "bathroom"),
    *("conference room", "dining room", "home office", "kitchen", "discussion area", "dining area", "rest space"),
    *("library", "computer room", "lab", "lecture theatre"),
)
NYU = (
    *("kitchen", "office", "bathroom", "bedroom", "bookstore", "living room", "classroom", "home office"),
    *("dining room", "others"),
)
FILM_CAPTIONS = ("film 0 in words one", "film 0 in words two")
CASES = {
    "msrvtt": Case(
        layouts.films,
        "video",
        train=6,
        test=2,
        first=QuestionAnswer(CAPTION, FILM_CAPTIONS[:1], task="caption"),
        last=QuestionAnswer("based on the given video respond to what is shown?", ("grey",), task="qa"),
    ),
    "msvd": Case(
        layouts.films,
        "video",
        train=6,
        test=2,
        first=QuestionAnswer(CAPTION, FILM_CAPTIONS[:1], task="caption"),
        last=QuestionAnswer("Question: what is shown? Answer:", ("grey",), task="qa"),
    ),
    "audiocaps": Case(
        layouts.audiocaps,
        "audio",
        train=3,
        test=2,
        first=QuestionAnswer(CAPTION, ("A dog barks",), task="caption"),
        last=QuestionAnswer("Question: what barks? Answer:", ("nothing",), task="qa"),
    ),
    "clotho": Case(
        layouts.clotho,
        "audio",
        train=5,
        test=1,
        first=QuestionAnswer(CAPTION, ("development, caption 1",), task="caption"),
        last=QuestionAnswer(CAPTION, tuple(f"evaluation, caption {n}" for n in range(1, 6)), task="caption"),
    ),
    "clotho_aqa": Case(
        layouts.clotho_aqa,
        "audio",
        train=1,
        test=1,
        first=QuestionAnswer("Question: Is it loud? Answer:", ("yes", "yes", "no"), task="qa", votes=True),
        last=QuestionAnswer("Question: Is it loud? Answer:", ("yes", "yes", "no"), task="qa", votes=True),
    ),
    "esc50": Case(
        layouts.esc50,
        "audio",
        train=8,
        test=2,
        first=QuestionAnswer("describe the audio.", ESC50[:1], ESC50, "classification", names=SOUNDS),
        last=QuestionAnswer("describe the audio.", ESC50[1:], ESC50, "classification", names=SOUNDS),
    ),
    "fusion_depth": Case(
        layouts.fusion_depth,
        "depth",
        train=3,
        test=2,
        first=QuestionAnswer("Describe the depth briefly.", ("a street",), task="caption"),
        last=QuestionAnswer("What is it?", ("A cat.",), task="conversation"),
    ),
    "sun_rgbd": Case(
        layouts.scenes,
        "depth",
        train=0,
        test=2,
        first=QuestionAnswer("describe the depth.", ("bedroom",), SUN, "classification"),
        last=QuestionAnswer("describe the depth.", ("furniture store",), SUN, "classification"),
    ),
    "nyu_v2": Case(
        layouts.scenes,
        "depth",
        train=0,
        test=1,
        first=QuestionAnswer("describe the depth.", ("others",), NYU, "classification"),
        last=QuestionAnswer("describe the depth.", ("others",), NYU, "classification"),
    ),
    "objaverse": Case(
        layouts.objaverse,
        "point_cloud",
        train=2,
        test=2,
        first=QuestionAnswer("describe the 3d model.", ("a train chair",), task="caption"),
        last=QuestionAnswer("based on the given input respond to what is it?.", ("chair",), task="qa"),
    ),
    "modelnet40": Case(
        layouts.modelnet40,
        "point_cloud",
        train=3,
        test=1,
        first=QuestionAnswer("describe the 3d model.", MODELNET[:1], MODELNET, "classification", names=MODELS),
        last=QuestionAnswer("describe the 3d model.", MODELNET[1:], MODELNET, "classification", names=MODELS),
    ),
    "manifest": Case(
        layouts.manifest,
        "features",
        train=1,
        test=1,
        first=QuestionAnswer("What is done?", ("walking",), ("running", "walking"), "qa"),
        last=QuestionAnswer("What is done?", ("running",), ("running", "walking"), "qa"),
    ),
}
ALL = pytest.mark.parametrize("name", CASES)
FILES = pytest.mark.parametrize("name", [name for name in CASES if name != "modelnet40"])  # its media are in its .dat


def config_of(name: str, folder: Path, **fields: object) -> AnyQuestions:
    return TypeAdapter(AnyQuestions).validate_python({"dataset": name, "folder": folder, **fields})


def items_of(config: AnyQuestions, modality: str, split: str) -> list[QuestionItem]:
    return read_questions(config, modality, split, "over.there").items


def open_split(config: AnyQuestions, modality: str, split: str) -> Questions:
    tokenizer = open_media_tokenizer(TOKENS[modality]())
    return Questions(modality, tokenizer, items_of(config, modality, split))


def test_every_reader_has_a_case() -> None:
    assert set(CASES) == set(_READERS) - {"shapes", "notes"}


def in_words(questions: Questions, index: int) -> QuestionAnswer:
    """A question without how its answer is generated."""
    return replace(questions.questions[index], generation=None)


# From PathWeave's evaluation: most and fewest tokens, repetition penalty, length penalty. All have five beams.
PUBLISHED = {
    ("msrvtt", "caption"): (80, 10, 1.15, 1),
    ("msrvtt", "qa"): (10, 1, 1.5, -1),
    ("msvd", "caption"): (80, 10, 1.15, 1),
    ("msvd", "qa"): (10, 1, 1.5, -1),
    ("audiocaps", "caption"): (80, 10, 1.15, 1),
    ("audiocaps", "qa"): (10, 1, 1.5, -1),
    ("clotho", "caption"): (80, 10, 1.15, 1),
    ("clotho_aqa", "qa"): (10, 1, 1.5, -1),
    ("fusion_depth", "caption"): (30, 8, 1.15, 0),
    ("fusion_depth", "conversation"): (30, 8, 1.15, 0),
    ("objaverse", "caption"): (80, 10, 1.15, 0),
    ("objaverse", "qa"): (80, 1, 1.5, -1),
    ("esc50", "classification"): (80, 1, 1.5, 1),
    ("modelnet40", "classification"): (80, 1, 1.5, 0),
}


@ALL
def test_answers_are_generated_as_published(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.write(tmp_path)
    asked = [item.question for item in items_of(config_of(name, tmp_path), case.modality, "test")]
    for question in asked:
        row = PUBLISHED.get((name, question.task))
        how = question.generation
        found = how and (how.max_tokens, how.min_tokens, how.repetition_penalty, how.length_penalty)
        assert found == row and (how is None or how.beams == 5)
    assert {task for dataset, task in PUBLISHED if dataset == name} <= {question.task for question in asked}


def test_a_configuration_says_how_answers_to_one_task_are_generated(tmp_path: Path) -> None:
    layouts.films(tmp_path)
    own = {"caption": {"max_tokens": 20}}
    asked = items_of(config_of("msrvtt", tmp_path, generation=own), "video", "test")
    said = {item.question.task: item.question.generation for item in asked}
    assert said["caption"] == Generation(max_tokens=20) and said["qa"] == ANSWERS
    with pytest.raises(
        UserError,
        match=r"over\.there\.generation: the test split of msrvtt has no task 'captoin'; choose from",
    ):
        items_of(config_of("msrvtt", tmp_path, generation={"captoin": {}}), "video", "test")


@ALL
def test_questions_and_media_are_found(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.write(tmp_path)
    train, test = (open_split(config_of(name, tmp_path), case.modality, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (case.train, case.test)
    assert in_words(train if case.train else test, 0) == case.first and in_words(test, -1) == case.last
    for questions in (train, test):
        questions.check()
        for index in range(len(questions)):
            sample = questions.sample(index, stage=3)
            assert list(sample.tokens) == [case.modality] and len(sample.tokens[case.modality])
            assert (sample.target, sample.id, sample.stage) == (questions.questions[index], index, 3)


@FILES
def test_a_missing_media_file_is_named_or_skipped(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.write(tmp_path)
    whole = len(open_split(config_of(name, tmp_path), case.modality, "test"))
    source = open_split(config_of(name, tmp_path), case.modality, "test").source(0)
    Path(source).unlink()
    refusing = open_split(config_of(name, tmp_path), case.modality, "test")
    with pytest.raises(UserError, match=r"no such file; bring it back, or set over\.there\.missing_media: skip"):
        refusing.check()
    with pytest.raises(UserError, match="no such file"):
        refusing.sample(0, stage=1)
    skipping = read_questions(config_of(name, tmp_path, missing_media="skip"), case.modality, "test", "data")
    assert len(skipping.items) < whole == len(skipping.items) + len(skipping.left_out)
    assert {item.source for item in skipping.left_out} == {source}


@FILES
def test_a_damaged_media_file_is_named(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.write(tmp_path)
    questions = open_split(config_of(name, tmp_path), case.modality, "test")
    Path(questions.source(0)).write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"cannot be read .*; bring a whole file"):
        questions.sample(0, stage=1)
    Path(questions.source(0)).write_bytes(b"")
    with pytest.raises(UserError, match="is empty; bring a whole file"):
        questions.check()


@ALL
def test_an_annotation_that_is_missing_or_damaged_is_named(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    config = config_of(name, tmp_path)
    with pytest.raises(UserError, match=r"docs/data\.md shows the layout"):
        items_of(config, case.modality, "test")
    case.write(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".csv", ".jsonl", ".dat"):
            path.write_bytes(b"\xff{damaged")
    with pytest.raises(UserError, match=f"{tmp_path}") as refused:
        items_of(config, case.modality, "test")
    assert "\n" not in str(refused.value)


@FILES
def test_a_row_that_lacks_a_field_is_named(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.write(tmp_path)
    for path in [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.jsonl")]:
        path.write_text('{"annotations": [{"id": 1}]}' if '{"annotations"' in path.read_text() else '[{"id": 1}]')
    for path in tmp_path.rglob("*.csv"):
        path.write_text("id\n1\n")
    if name == "manifest":
        (tmp_path / "test.jsonl").write_text('{"media": "test.csv"}')
    with pytest.raises(UserError, match=r"(row|line) \d+: "):
        items_of(config_of(name, tmp_path), case.modality, "test")


def test_tasks_are_chosen_and_counted(tmp_path: Path) -> None:
    layouts.films(tmp_path)
    chosen = items_of(config_of("msrvtt", tmp_path, tasks=["caption"]), "video", "train")
    assert {item.question.task for item in chosen} == {"caption"} and len(chosen) == 4
    few = items_of(config_of("msrvtt", tmp_path, max_questions=1), "video", "train")
    assert [item.question.task for item in few] == ["caption", "qa"]
    with pytest.raises(
        UserError,
        match=r"^over\.there\.tasks: the train split of msrvtt has no task 'colour'; choose from cap",
    ):
        items_of(config_of("msrvtt", tmp_path, tasks=["colour"]), "video", "train")


def test_fewer_questions_may_be_tested_than_learned(tmp_path: Path) -> None:
    row = '{"media": "a.png", "question": "What?", "answer": "this"}\n'
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(row * 9)
    config = config_of("manifest", tmp_path, max_questions=6, max_test_questions=2)
    assert len(items_of(config, "image", "train")) == 6
    assert len(items_of(config, "image", "test")) == 2


NAMES = (
    *("../../secret.mp4", "a/../../b", "/etc/passwd", "//etc/passwd", "///etc/passwd", ".", "..", "/", ""),
    *("a\0b", "\ud800.mp4", "long" * 64, 7, ["a.mp4"], {"path": "a.mp4"}),
)


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("missing_media", ["refuse", "skip"])
def test_a_name_that_is_no_path_within_the_folder_is_refused(tmp_path: Path, name: object, missing_media: str) -> None:
    caption = {"video": name, "caption": "c", "image_id": name, "source": "cc3m"}
    layouts.write_json(tmp_path / "annotations" / "cap_train.json", [caption])
    layouts.write_json(tmp_path / "fusion_train_55w_clear.json", [caption])
    layouts.write_json(tmp_path / "SUN.json", [{"image_path": name, "label": "bedroom"}])
    (tmp_path / "train.jsonl").write_text(json.dumps({"media": name, "question": "What?", "answer": "this"}))
    for dataset, modality, split in (
        *(("msrvtt", "video", "train"), ("fusion_depth", "depth", "train")),
        *(("sun_rgbd", "depth", "test"), ("manifest", "image", "train")),
    ):
        with pytest.raises(UserError, match=r"^[^\n]*(row 0|line 1): [^\n]* is no path within"):
            items_of(config_of(dataset, tmp_path, missing_media=missing_media), modality, split)


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(name, str) and "\ud800" not in name], ids=repr)
def test_a_name_in_a_table_that_is_no_path_is_refused(tmp_path: Path, name: str) -> None:
    layouts.write_csv(tmp_path / "meta" / "esc50.csv", [{"filename": name, "fold": 5, "category": "dog"}])
    with pytest.raises(UserError, match=r"row 2: .* is no path within"):
        items_of(config_of("esc50", tmp_path), "audio", "test")
    if name.strip("./"):
        row = {"youtube_id": f"{name}/x", "sample_id": f"{name}/x", "caption": "c"}
        layouts.write_csv(tmp_path / "annotations" / "val.csv", [row])
        layouts.write_csv(tmp_path / "annotations" / "cap3d_cap_final_val.csv", [row])
        for dataset, modality in (("audiocaps", "audio"), ("objaverse", "point_cloud")):
            with pytest.raises(UserError, match=r"row 2: .* is no path within"):
                items_of(config_of(dataset, tmp_path), modality, "test")


def test_a_map_is_found_by_the_name_of_a_picture_with_dots(tmp_path: Path) -> None:
    layouts.write_json(tmp_path / "SUN.json", [{"image_path": "kv2/a.1/b.2.jpg", "label": "bedroom"}])
    layouts.write_depth(tmp_path / "kv2" / "a.1" / "b.2.png", 1000)
    (item,) = items_of(config_of("sun_rgbd", tmp_path), "depth", "test")
    assert item.source == str(tmp_path / "kv2" / "a.1" / "b.2.png")


@pytest.mark.parametrize(
    "said",
    [
        [{"from": "gpt", "value": "A wall."}, {"from": "human", "value": "What is near?"}],
        [{"from": "human", "value": "What is near?"}],
        [{"from": "human", "value": "What is near?"}] * 2,
        ["What is near?", "A wall."],
        "What is near?",
    ],
)
def test_a_conversation_in_another_order_is_refused(tmp_path: Path, said: object) -> None:
    row = {"source": "llava", "image": "a.jpg", "conversations": said}
    layouts.write_json(tmp_path / "fusion_train_55w_clear.json", [row])
    with pytest.raises(UserError, match="row 0: has no conversations of a question and an answer each"):
        items_of(config_of("fusion_depth", tmp_path), "depth", "train")


def test_a_class_of_modelnet_is_a_line(tmp_path: Path) -> None:
    layouts.modelnet40(tmp_path)
    (tmp_path / "modelnet40_shape_names.txt").write_text("airplane \r\nnight stand\r\n\r\n")
    (item,) = items_of(config_of("modelnet40", tmp_path), "point_cloud", "test")
    assert replace(item.question, generation=None) == CASES["modelnet40"].last


def test_json_without_an_end_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "cap_train.json").write_text("[" * 200_000)
    (tmp_path / "train.jsonl").write_text("[" * 200_000)
    with pytest.raises(UserError, match="not a JSON file"):
        items_of(config_of("msvd", tmp_path), "video", "train")
    with pytest.raises(UserError, match="line 1: not JSON"):
        items_of(config_of("manifest", tmp_path), "video", "train")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"question": None}, "has no 'question'"),
        ({"question": 5}, "question 5 is no text"),
        ({"media": None}, "has no 'media'"),
        ({"answers": None}, "has no 'answers'"),
        ({"answers": "walking"}, "answers 'walking' is no list of texts"),
        ({"answers": ["walking", ""]}, "answers ['walking', ''] is no list of texts"),
        ({"answers": None, "answer": 3}, "answer 3 is no text"),
        ({"candidates": "walking"}, "candidates 'walking' is no list of texts"),
        ({"task": 1}, "task 1 is no text"),
    ],
)
def test_a_line_of_a_manifest_says_what_it_lacks(tmp_path: Path, changed: dict[str, object], complaint: str) -> None:
    row = {"media": "a.csv", "question": "What?", "answers": ["walking"], **changed}
    given = {name: value for name, value in row.items() if value is not None}
    (tmp_path / "test.jsonl").write_text(json.dumps(given))
    with pytest.raises(UserError) as refused:
        items_of(config_of("manifest", tmp_path), "features", "test")
    place = f"{tmp_path / 'test.jsonl'}: line 1"
    assert str(refused.value) == f"{place}: {complaint}; docs/add-a-modality.md shows the layout"


def test_a_line_of_a_manifest_with_two_answers_is_refused_and_null_is_left_out(tmp_path: Path) -> None:
    row = {"media": "a.csv", "question": "What?", "answer": "walking", "answers": None, "task": None}
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    (item,) = items_of(config_of("manifest", tmp_path), "features", "test")
    assert item.question.answers == ("walking",) and item.question.task == "qa"
    (tmp_path / "test.jsonl").write_text(json.dumps({**row, "answers": ["resting"]}))
    with pytest.raises(UserError, match=r"line 1: has both 'answer' and 'answers'; keep one of them"):
        items_of(config_of("manifest", tmp_path), "features", "test")


def test_votes_of_a_manifest_are_said(tmp_path: Path) -> None:
    row = {"media": "a.csv", "question": "What?", "answers": ["this", "this", "that"]}
    lines = [{**row, "votes": True}, {**row, "task": "name"}]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    config = config_of("manifest", tmp_path)
    assert [item.question.votes for item in items_of(config, "features", "test")] == [True, False]
    for wrong, complaint in (
        ({"votes": True, "task": "name"}, "line 3: votes is not as in earlier lines of task 'name'; give them another"),
        ({"votes": True, "task": "caption"}, "line 3: votes true, but task 'caption' is scored as captions are"),
        ({"votes": True, "task": "conversation"}, "line 3: votes true, but task 'conversation' is scored as captions"),
        ({"votes": 3}, "line 3: votes 3 must be true or false"),
        ({"votes": True, "answers": ["this"]}, "line 3: votes on the question 'What\\?' need the answers of at least"),
    ):
        path.write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, {**row, **wrong}]))
        with pytest.raises(UserError, match=complaint):
            items_of(config, "features", "test")


class _Attack:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("echo attacked > attacked",)


class _Codec:
    """numpy's own way to bytes, put to another use."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return codecs.encode, ("x", "idna")


class _ForeignFlags:
    """A data type that says of itself that it holds references; numpy believes it."""

    def __reduce__(self) -> tuple[object, ...]:
        return np.dtype, ("i4", False, True), (3, "<", None, None, None, -1, -1, 63)


CLOUD = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (([_Attack()], [0]), "system, which is no array"),
        (([_Codec()], [0]), "it asks for bytes in 'idna'"),
        (([np.array([_Attack()], object)], [0]), "an array of object, not of numbers"),
        ((1, [0]), "'int' object is not iterable"),
        (([CLOUD], None), "'NoneType' object is not iterable"),
        (([CLOUD], [None]), "a label is None, no number"),
        (([CLOUD], [np.array([0.5])]), "a label is .*0.5.*, no number"),
        (([CLOUD], [np.array([], np.int32)]), "not enough values"),
        (([CLOUD], [_ForeignFlags()]), "a label is .*, no number"),
        (([1], [0]), "a cloud is int, not floats"),
        (([CLOUD[0]], [0]), r"a cloud is float32 \(3,\), not floats"),
        (([CLOUD], [0], 1), "too many values"),
        (7, "cannot unpack"),
    ],
)
def test_a_pickle_of_something_else_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: object, says: str
) -> None:
    layouts.modelnet40(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "modelnet40_test_8192pts_fps.dat").write_bytes(pickle.dumps(held))
    with pytest.raises(UserError, match=rf"^[^\n]*\.dat: not a file of points and labels \([^\n]*{says}[^\n]*$"):
        items_of(config_of("modelnet40", tmp_path), "point_cloud", "test")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_they_were_pickled(protocol: int, dtype: str, order: Literal["C", "F"]) -> None:
    written = np.asarray(np.random.default_rng(0).normal(size=(5, 6)), dtype, order=order)
    (read,) = load_arrays(io.BytesIO(pickle.dumps([written], protocol)))
    np.testing.assert_array_equal(read.numbers, written)


def test_a_set_for_testing_needs_no_training_files(tmp_path: Path) -> None:
    layouts.clotho(tmp_path)
    (tmp_path / "clotho_captions_development.csv").unlink()
    assert len(items_of(config_of("clotho", tmp_path), "audio", "test")) == 1

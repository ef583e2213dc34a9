"""Real folders are incomplete and damaged: one line that names the file and what to do."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dist_mcl.errors import UserError

from . import layouts
from .test_readers import opened, told

Damage = Callable[[Path], object]


def edit_json(name: str, change: Callable[[Any], Any]) -> Damage:
    def damage(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(value)))

    return damage


def replace(name: str, old: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return damage


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name != key}


def compress(folder: Path) -> None:
    tar = folder / "train-000000.tar"
    tar.write_bytes(gzip.compress(tar.read_bytes()))


def cut(name: str, size: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def null_text(folder: Path) -> None:
    path = folder / "zoo-train.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    texts = pa.array([None, *table["text"].to_pylist()[1:]], pa.string())
    layouts._write_stream(path, table.set_column(table.schema.get_field_index("text"), "text", texts))


def null_label(folder: Path) -> None:
    path = folder / "zoo-train.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    labels = pa.array([None, *table["label"].to_pylist()[1:]], table["label"].type)
    layouts._write_stream(path, table.set_column(table.schema.get_field_index("label"), "label", labels))


def no_object(folder: Path) -> None:
    """The same number of bytes, so that the tar's heads stay right."""
    path = folder / "train-000000.tar"
    content = path.read_bytes()
    start = content.index(b"{")
    end = content.index(b"}", start)
    path.write_bytes(content[:start] + b"[" + b" " * (end - start - 2) + b"1]" + content[end + 1 :])


MISTAKES: list[tuple[str, Callable[[Path], object], dict[str, Any], Damage, str]] = [
    (
        "food101",
        layouts.food101_json,
        {},
        edit_json("text.json", lambda titles: without(titles, "tacos_3.jpg")),
        r"images/train/tacos/tacos_3\.jpg has no text; .*text\.json has the titles.*set data\.missing_text: skip",
    ),
    (
        "food101",
        layouts.food101_json,
        {"modalities": ["image"]},
        edit_json("split.json", lambda splits: {**splits, "test": [*splits["test"], "sushi_1.jpg"]}),
        r"sushi_1\.jpg: class 'sushi' is none of the 3 classes of the data set \(frozen_yogurt, tacos, apple_pie\)",
    ),
    (
        "food101",
        layouts.food101_json,
        {},
        edit_json("split.json", lambda splits: {**splits, "train": ["../../../etc/passwd_1.jpg"]}),
        r"split\.json: '\.\./\.\./\.\./etc/passwd_1\.jpg' is no path within .*images/train; mend the file",
    ),
    (
        "food101",
        layouts.food101_json,
        {},
        lambda folder: (folder / "text.json").unlink(),
        r"text\.json: cannot be read: No such file or directory; docs/data\.md shows the layout",
    ),
    ("food101", layouts.food101_json, {}, cut("split.json", 50), r"split\.json: not a JSON file"),
    (
        "food101",
        layouts.food101_kaggle,
        {},
        replace("texts/test_titles.csv", ",tacos\n", "\n"),
        r"test_titles\.csv: line \d+: is not FILE,TITLE,CLASS; mend the line",
    ),
    ("food101", layouts.food101_kaggle, {"evaluate_on": "val"}, lambda _: None, r"has no val split; choose test"),
    (
        "food101",
        layouts.food101_arrow,
        {},
        lambda folder: (folder / "food101_test.arrow").unlink(),
        r"food101_test\.arrow: no such file; docs/data\.md shows the layout",
    ),
    ("food101", layouts.food101_arrow, {}, cut("food101_train.arrow", 900), r"food101_train\.arrow: not a readable"),
    (
        "food101",
        layouts.food101_arrow,
        {},
        lambda folder: layouts.write_ipc(folder / "food101_train.arrow", {"image": [b""], "text": [["a"]]}),
        r"food101_train\.arrow: has no column 'label', its columns are image, text",
    ),
    (
        "imagenet_r",
        layouts.imagenet_r,
        {},
        replace("captions.jsonl", '{"image": "train/n02086240/art_3.jpg"', '{"image": "train/n02086240/gone.jpg"'),
        r"captions\.jsonl: 1 of its pictures are not in the folder, the first is train/n02086240/gone\.jpg",
    ),
    (
        "imagenet_r",
        layouts.imagenet_r,
        {},
        lambda folder: (folder / "captions.jsonl").unlink(),
        r"n02085620/art_0\.jpg and 14 other pictures have no text; make captions with `mcl data caption .* --model",
    ),
    ("imagenet_r", layouts.image_folder, {}, lambda _: None, r"'Cat' is no WordNet number; use dataset: image_folder"),
    (
        "imagenet_r",
        layouts.imagenet_r,
        {"test_share": 0.2},
        lambda _: None,
        r"data\.test_share: .* has train/ and test/ already; remove the field",
    ),
    (
        "image_folder",
        layouts.image_folder,
        {},
        lambda folder: (folder / "train").rename(folder / "training"),
        r"has no folder train; give the right folder, or data\.test_share if it has classes",
    ),
    (
        "image_folder",
        layouts.image_folder,
        {},
        lambda folder: shutil.rmtree(folder / "test" / "dog") or shutil.rmtree(folder / "train" / "dog"),
        r"captions\.jsonl: 5 of its pictures are not in the folder",
    ),
    (
        "image_folder",
        layouts.image_folder,
        {},
        replace("captions.jsonl", '"captions": ["', '"captions": "'),
        r"captions\.jsonl: line 1: not JSON",
    ),
    (
        "image_folder",
        layouts.image_folder,
        {},
        replace("captions.jsonl", '"captions": [', '"caption": ['),
        r'captions\.jsonl: line 1: is not \{"image": path, "captions": \[text, \.\.\.\]\}; mend the line',
    ),
    (
        "mm_imdb",
        layouts.mm_imdb,
        {"genre": "only"},
        lambda folder: (folder / "labels" / "0000003.json").unlink(),
        r"labels/0000003\.json: cannot be read: No such file",
    ),
    (
        "mm_imdb",
        layouts.mm_imdb,
        {"genre": "only"},
        edit_json("split.json", lambda splits: without(splits, "test")),
        r"split\.json: has no list 'test'; get it again",
    ),
    (
        "hateful_memes",
        layouts.hateful_memes,
        {},
        replace("data/test.jsonl", '"label": 0, ', ""),
        r"test\.jsonl: line 1: its label is None, not 0 or 1; .* set data\.evaluate_on: dev",
    ),
    (
        "hateful_memes",
        layouts.hateful_memes,
        {},
        replace("data/train.jsonl", "img/00000.png", "/img/00000.png"),
        r"train\.jsonl: line 1: '/img/00000\.png' is no path within",
    ),
    (
        "huggingface",
        layouts.huggingface_saved,
        {"test_split": "validation"},
        lambda _: None,
        r"has neither validation/state\.json nor an Arrow file of a split 'validation'; .*data\.test_split",
    ),
    (
        "huggingface",
        layouts.huggingface_saved,
        {"label": "fine_label"},
        lambda _: None,
        r"data-00000-of-00002\.arrow: has no column 'fine_label', its columns are image, label, text",
    ),
    (
        "huggingface",
        layouts.huggingface_saved,
        {},
        edit_json("test/state.json", lambda state: {"_data_files": [{"filename": "../../x.arrow"}]}),
        r"state\.json: '\.\./\.\./x\.arrow' is no path within",
    ),
    *(
        (
            "huggingface",
            layouts.huggingface_saved,
            {},
            edit_json("test/state.json", lambda state, named=named: {"_data_files": named}),
            r"test/state\.json: names no _data_files; save the data set again",
        )
        for named in (None, [], {}, ["data-00000-of-00001.arrow"])
    ),
    (
        "huggingface",
        layouts.huggingface_cache,
        {},
        null_label,
        r"row 0: label None is no class; leave the row out of the set",
    ),
    (
        "huggingface",
        layouts.huggingface_saved,
        {},
        edit_json("train/dataset_info.json", lambda info: {"features": ["label"]}),
        r"class 'zebra' is none of the 3 classes",
    ),
    ("huggingface", layouts.huggingface_cache, {}, null_text, r"row 0 has no text; column data\.text=text is null"),
    (
        "webdataset",
        layouts.webdataset,
        {"test": "val*.tar"},
        lambda _: None,
        r"data\.test: no file 'val\*\.tar' in .*; give the pattern of the tars",
    ),
    (
        "webdataset",
        layouts.webdataset_json,
        {},
        no_object,
        r"train-000000\.tar: \S+\.json: is no JSON object; mend the tar",
    ),
    (
        "food101",
        layouts.food101_json,
        {},
        edit_json("split.json", lambda splits: {**splits, "train": [["tacos_1.jpg"]]}),
        r"split\.json: \['tacos_1\.jpg'\] is no path within",
    ),
    ("webdataset", layouts.webdataset, {}, compress, r"train-000000\.tar: not a whole, uncompressed tar"),
    ("webdataset", layouts.webdataset, {}, cut("train-000000.tar", 700), r"train-000000\.tar: not a whole, uncompr"),
]


@pytest.mark.parametrize(("dataset", "write", "fields", "damage", "message"), MISTAKES)
def test_one_line_names_the_file_and_the_mend(
    tmp_path: Path, dataset: str, write: Damage, fields: dict[str, Any], damage: Damage, message: str
) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        opened(dataset, tmp_path, **fields)
    assert "\n" not in str(caught.value)


def test_pictures_without_a_text_can_be_left_out_and_the_others_keep_their_ids(tmp_path: Path) -> None:
    layouts.food101_json(tmp_path)
    whole = opened("food101", tmp_path)
    edit_json("text.json", lambda titles: without(titles, "tacos_3.jpg"))(tmp_path)
    some = opened("food101", tmp_path, missing_text="skip")
    assert len(some["train"]) == len(whole["train"]) - 1 and len(some["test"]) == len(whole["test"])
    assert set(whole["train"].ids) - set(some["train"].ids) == {3}
    assert some["test"].ids.tolist() == whole["test"].ids.tolist()
    kept = opened("food101", tmp_path, missing_text="empty")["train"]
    assert kept.ids.tolist() == whole["train"].ids.tolist() and kept.text(3) == kept.raw(3).text == ""
    pictures_alone = opened("food101", tmp_path, modalities=["image"])
    assert pictures_alone["train"].ids.tolist() == whole["train"].ids.tolist()


@pytest.mark.parametrize("damage", ["gone", "cut", "no picture"])
def test_a_bad_picture_is_named(tmp_path: Path, damage: str) -> None:
    layouts.imagenet_r(tmp_path)
    path = tmp_path / "train" / layouts.BREEDS[0] / "art_1.jpg"
    train = opened("imagenet_r", tmp_path)["train"]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:400] if damage == "cut" else b"<html>not found</html>")
    train.raw(0)
    with pytest.raises(UserError, match=r"art_1\.jpg: (no such picture|the picture cannot be read)"):
        train.raw(1)
    if damage != "cut":  # whose first bytes are fine
        with pytest.raises(UserError, match=r"art_1\.jpg"):
            train.check()


def test_a_picture_that_an_arrow_file_only_points_to_is_named(tmp_path: Path) -> None:
    layouts.huggingface_cache(tmp_path)
    path = tmp_path / "zoo-train.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    image = table.schema.field("image")
    pointers = pa.array([{"bytes": None, "path": "cat.jpg"}] * len(table), image.type)
    layouts._write_stream(path, table.set_column(0, image, pointers))
    with pytest.raises(UserError, match=r"row 0: the picture cannot be read \(column image has no picture's bytes"):
        opened("huggingface", tmp_path)["train"].raw(0)


def test_a_picture_with_several_captions_is_several_samples(tmp_path: Path) -> None:
    layouts.image_folder(tmp_path)
    replace("captions.jsonl", '"captions": [', '"captions": ["first words", ')(tmp_path)
    train = opened("image_folder", tmp_path)["train"]
    assert len(train) == 10
    assert [train.raw(index).text for index in (0, 1)] == ["first words", layouts.Made("Cat", 0, "train").text]
    assert train.raw(0).name == train.raw(1).name


def test_a_folder_of_classes_is_split_class_by_class_and_always_the_same(tmp_path: Path) -> None:
    for label, count in (("n00000001", 10), ("n00000002", 5)):
        for number in range(count):
            layouts.Made(label, number, "").save(tmp_path / label / f"{number}.jpg")
    (tmp_path / "README.txt").write_text("ImageNet-R(endition)\n\nn00000001 goldfish\nn00000002 great white shark\n")
    splits, again = (opened("imagenet_r", tmp_path, test_share=0.2, modalities=["image"]) for _ in range(2))
    assert splits["train"].classes == ("goldfish", "great white shark")
    assert [splits["test"].labels.tolist().count(label) for label in (0, 1)] == [2, 1]
    assert [splits["train"].labels.tolist().count(label) for label in (0, 1)] == [8, 4]
    assert told(splits["test"]) == told(again["test"])


def test_the_first_genre_takes_films_with_several_and_only_leaves_them_out(tmp_path: Path) -> None:
    layouts.mm_imdb(tmp_path)
    only, first = (opened("mm_imdb", tmp_path, genre=rule)["train"] for rule in ("only", "first"))
    assert len(only) == 9 and len(first) == 10
    drama = first.classes.index("Drama")
    assert (first.labels == drama).sum() == 4 and (only.labels == drama).sum() == 3


def test_a_meme_may_be_hateful_by_a_truth_value(tmp_path: Path) -> None:
    layouts.hateful_memes(tmp_path)
    path = tmp_path / "data" / "train.jsonl"
    path.write_text(path.read_text().replace('"label": 1', '"label": true').replace('"label": 0', '"label": 0.0'))
    assert set(opened("hateful_memes", tmp_path)["train"].labels.tolist()) == {0, 1}

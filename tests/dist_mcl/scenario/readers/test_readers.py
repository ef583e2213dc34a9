"""What holds for every reader of photographs: one row in `ROWS` each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from dist_mcl.data_config import Data
from dist_mcl.errors import UserError
from dist_mcl.modalities.image import SquarePatches, unpatchify
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.builders.progress import untold
from dist_mcl.scenario.dataset import Dataset, Split
from dist_mcl.scenario.inspection import inspect
from dist_mcl.scenario.readers import open_splits
from dist_mcl.scenario.readers.arrow import open_table, picture_of
from dist_mcl.tokens import Sample, Tokens

from . import layouts
from .layouts import Made


@dataclass(frozen=True)
class Row:
    """One layout of one data set.

    Attributes:
        dataset: `data.dataset`.
        write: makes it in a folder and tells what is in it.
        classes: in the order of their ids.
        other: the split that `data.evaluate_on` may name instead of test.
        fields: more of the `data` section.
    """

    dataset: str
    write: Callable[[Path], list[Made]]
    classes: tuple[str, ...]
    other: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


ROWS = [
    Row("food101", layouts.food101_json, ("frozen_yogurt", "tacos", "apple_pie"), "val"),
    Row("food101", layouts.food101_kaggle, ("apple_pie", "frozen_yogurt", "tacos")),
    Row("food101", layouts.food101_arrow, ("frozen_yogurt", "tacos", "apple_pie"), "val"),
    Row("imagenet_r", layouts.imagenet_r, layouts.BREEDS),
    Row("image_folder", layouts.image_folder, ("Cat", "dog", "eagle")),
    Row("mm_imdb", layouts.mm_imdb, layouts.GENRES, "dev", {"genre": "only"}),
    Row("mm_imdb", layouts.mm_imdb_arrow, layouts.GENRES, "dev", {"genre": "first"}),
    Row("hateful_memes", layouts.hateful_memes, layouts.MEMES, "dev"),
    Row("hateful_memes", layouts.hateful_memes_arrow, layouts.MEMES, "dev"),
    Row("huggingface", layouts.huggingface_saved, layouts.ANIMALS),
    Row("huggingface", layouts.huggingface_cache, layouts.ANIMALS),
    Row("webdataset", layouts.webdataset, ("2", "10", "11")),
    Row("webdataset", layouts.webdataset_json, ("ant", "cow", "zebra")),
]
EACH = pytest.mark.parametrize("row", ROWS, ids=[row.write.__name__ for row in ROWS])


def opened(dataset: str, folder: Path, **fields: Any) -> dict[Split, Dataset]:
    return open_splits(TypeAdapter(Data).validate_python({"dataset": dataset, "folder": folder, **fields}), seed=0)


Told = list[tuple[str, str, float]]


def told(dataset: Dataset) -> Told:
    """Class, text and mean redness of every sample, in an order of its own."""
    raws = [dataset.raw(index) for index in range(len(dataset))]
    return sorted((dataset.classes[raw.label], raw.text, float(raw.picture[..., 0].mean())) for raw in raws)


def expected(pictures: list[Made], split: str) -> Told:
    # JPEG changes a colour by 1 or 2; the next picture's is 5 away.
    return sorted((one.label, one.text, pytest.approx(one.colour[0], abs=2)) for one in pictures if one.split == split)


@EACH
def test_every_picture_comes_with_its_own_text_and_class(row: Row, tmp_path: Path) -> None:
    pictures = row.write(tmp_path)
    splits = opened(row.dataset, tmp_path, **row.fields)
    assert splits["train"].classes == splits["test"].classes == row.classes
    for split in ("train", "test"):
        assert told(splits[split]) == expected(pictures, split)
    ids = [*splits["train"].ids.tolist(), *splits["test"].ids.tolist()]
    assert ids == sorted(set(ids))
    splits["train"].check()


@EACH
def test_another_split_can_be_tested_on(row: Row, tmp_path: Path) -> None:
    pictures = row.write(tmp_path)
    if row.other:
        tested = opened(row.dataset, tmp_path, **row.fields, evaluate_on=row.other)["test"]
        assert told(tested) == expected(pictures, row.other)
    else:
        with pytest.raises((UserError, ValueError), match="evaluate_on"):
            opened(row.dataset, tmp_path, **row.fields, evaluate_on="val")


@EACH
def test_pictures_of_any_size_fit_the_small_backbone(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path)
    train = opened(row.dataset, tmp_path, **row.fields, modalities=["image"])["train"]
    sample = train.sample(1, Tokenizers(SquarePatches(96), text=None), stage=2)  # type: ignore[arg-type]
    assert set(sample.tokens) == {"image"} and sample.tokens["image"].grid == (6, 6)
    assert (sample.target, sample.id, sample.stage) == (train.labels[1], train.ids[1], 2)
    assert np.abs(unpatchify(sample.tokens["image"]).mean((0, 1)) - train.raw(1).picture.mean((0, 1))).max() < 1


@EACH
def test_the_same_folder_gives_the_same_order_again(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path)
    first, again = (opened(row.dataset, tmp_path, **row.fields) for _ in range(2))
    for split in ("train", "test"):
        names = [[part.raw(index).name for index in range(len(part))] for part in (first[split], again[split])]
        assert names[0] == names[1] and first[split].ids.tolist() == again[split].ids.tolist()


@EACH
def test_pictures_are_read_only_when_they_are_asked_for(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row.write(tmp_path)
    decoded = []
    monkeypatch.setattr("PIL.Image.open", lambda *_: decoded.append(1))
    opened(row.dataset, tmp_path, **row.fields)
    assert decoded == []


@EACH
def test_an_empty_folder_is_refused_in_one_line(row: Row, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        opened(row.dataset, tmp_path, **row.fields)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_the_library_datasets_has_saved_is_read() -> None:
    # Written by datasets 5.2.0: a DatasetDict of two classes, its training split in two files.
    splits = opened("huggingface", Path(__file__).parent / "golden" / "huggingface")
    assert splits["train"].classes == ("zebra", "ant")
    train = [
        ("ant", "train 1", 60.0),
        ("ant", "train 3", 140.0),
        ("zebra", "train 0", 20.0),
        ("zebra", "train 2", 100.0),
    ]
    assert told(splits["train"]) == train
    assert told(splits["test"]) == [("ant", "test 1", 60.0), ("zebra", "test 0", 20.0)]


@EACH
def test_texts_alone_are_read_without_any_picture(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = row.write(tmp_path)
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("a picture was read"))
    splits = opened(row.dataset, tmp_path, **row.fields, modalities=["text"])
    for split in ("train", "test"):
        dataset = splits[split]
        dataset.check()
        texts = [Words().decoded(dataset.sample(index, Tokenizers(None, Words()), 1)) for index in range(len(dataset))]  # type: ignore[arg-type]
        assert sorted(texts) == sorted(one.text for one in pictures if one.split == split)
        assert str(inspect(dataset, untold, "")).startswith(f"{len(dataset)} samples of ")


class Words:
    """A text as the numbers of its letters."""

    def encode(self, text: str) -> Tokens:
        return Tokens.full(np.array([ord(letter) for letter in text], np.int32), (len(text),))

    def decoded(self, sample: Sample) -> str:
        assert set(sample.tokens) == {"text"}
        return "".join(map(chr, sample.tokens["text"].values))


def test_a_look_at_the_pictures_of_an_arrow_file_reads_no_more_than_their_beginnings(tmp_path: Path) -> None:
    layouts.food101_arrow(tmp_path)
    table = open_table(tmp_path / "food101_train.arrow", ["image"])
    before = pa.total_allocated_bytes()
    with picture_of(table, "image", 0)() as stream:
        assert stream.read(3) == b"\xff\xd8\xff" and pa.total_allocated_bytes() - before < 1000
        stream.seek(0)
        assert stream.read() == table["image"][0].as_py()


def test_a_look_at_the_pictures_says_how_far_it_is(tmp_path: Path) -> None:
    layouts.food101_arrow(tmp_path)
    seen = []

    def track(sequence: Sequence[int], description: str) -> Sequence[int]:
        seen.append((list(sequence), description))
        return sequence

    opened("food101", tmp_path)["train"].check(track)
    assert seen == [(list(range(9)), "looking at the pictures")]

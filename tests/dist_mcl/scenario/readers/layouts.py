"""Miniature data sets in exactly the layouts that the real ones have.

Each has the classes of `CLASSES`, in each split `COUNTS` pictures of a class, and every picture is of one colour of its
own, which its text names: so a test sees whether picture, text and class belong together.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

COUNTS = {"train": 3, "val": 1, "dev": 1, "test": 2}


@dataclass(frozen=True)
class Made:
    """One made-up picture.

    Attributes:
        label: its class.
        number: unique in the data set; decides colour, text and size.
        split: where it belongs.
    """

    label: str
    number: int
    split: str

    @property
    def colour(self) -> tuple[int, int, int]:
        return (20 + 5 * self.number) % 256, (250 - 5 * self.number) % 256, 128

    @property
    def text(self) -> str:
        return f"a dish of colour {self.number}, \u00e0 la carte"

    def picture(self, kind: str = "PNG") -> bytes:
        # Of any size and shape, as photographs are.
        coded = io.BytesIO()
        Image.new("RGB", (40 + 7 * (self.number % 30), 90 - 3 * (self.number % 10)), self.colour).save(coded, kind)
        return coded.getvalue()

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.picture("JPEG" if path.suffix in (".jpg", ".jpeg") else "PNG"))


def made(classes: tuple[str, ...], *splits: str) -> list[Made]:
    """`COUNTS` pictures of each class for each split."""
    wanted = [(split, label) for split in splits for label in classes for _ in range(COUNTS[split])]
    return [Made(label, number, split) for number, (split, label) in enumerate(wanted)]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_ipc(path: Path, columns: dict[str, list[Any]]) -> None:
    """An Arrow IPC *file* in small batches, as ViLT's writers make it with pandas."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


FOOD = {"frozen_yogurt": 0, "tacos": 1, "apple_pie": 2}


def _food_name(one: Made) -> str:
    return f"{one.label}_{one.number}.jpg"


def _food_pictures(folder: Path, pictures: list[Made]) -> None:
    for one in pictures:
        one.save(folder / "images" / ("test" if one.split == "test" else "train") / one.label / _food_name(one))


def food101_json(folder: Path, classes: dict[str, int] = FOOD) -> list[Made]:
    """class_idx.json, split.json, text.json; the val pictures lie under images/train."""
    pictures = made(tuple(classes), "train", "val", "test")
    _food_pictures(folder, pictures)
    splits = {name: [_food_name(one) for one in pictures if one.split == name] for name in ("train", "val", "test")}
    (folder / "class_idx.json").write_text(json.dumps(classes))
    (folder / "split.json").write_text(json.dumps(splits))
    (folder / "text.json").write_text(json.dumps({_food_name(one): one.text for one in pictures}))
    return pictures


def food101_kaggle(folder: Path) -> list[Made]:
    """texts/SPLIT_titles.csv without a header."""
    pictures = made(tuple(FOOD), "train", "test")
    _food_pictures(folder, pictures)
    (folder / "texts").mkdir()
    for split in ("train", "test"):
        lines = [f'{_food_name(one)},"{one.text}",{one.label}\n' for one in pictures if one.split == split]
        (folder / "texts" / f"{split}_titles.csv").write_text("".join(lines), encoding="utf-8")
    return pictures


def food101_arrow(folder: Path) -> list[Made]:
    """food101_SPLIT.arrow: image binary, text list<string>, label int64, image_id, split."""
    pictures = made(tuple(FOOD), "train", "val", "test")
    for split in ("train", "val", "test"):
        mine = [one for one in pictures if one.split == split]
        columns = {
            "image": [one.picture("JPEG") for one in mine],
            "text": [[one.text] for one in mine],
            "label": [FOOD[one.label] for one in mine],
            "image_id": [_food_name(one) for one in mine],
            "split": [split] * len(mine),
        }
        write_ipc(folder / f"food101_{split}.arrow", columns)
    return pictures


BREEDS = ("n02085620", "n02086240", "n02088094")


def imagenet_r(folder: Path, classes: tuple[str, ...] = BREEDS) -> list[Made]:
    """PILOT's split: train/WNID/*.jpg and test/WNID/*.jpg, and captions.jsonl."""
    pictures = made(classes, "train", "test")
    rows = []
    for one in pictures:
        name = f"{one.split}/{one.label}/art_{one.number}.jpg"
        one.save(folder / name)
        rows.append({"image": name, "captions": [one.text], "model": "m", "prompt": "p", "revision": "r"})
    write_lines(folder / "captions.jsonl", rows)
    return pictures


def image_folder(folder: Path) -> list[Made]:
    """The same with any class names; PNG files."""
    pictures = made(("Cat", "dog", "eagle"), "train", "test")
    for one in pictures:
        one.save(folder / one.split / one.label / f"{one.number}.png")
    names = {one: f"{one.split}/{one.label}/{one.number}.png" for one in pictures}
    write_lines(folder / "captions.jsonl", [{"image": name, "captions": [one.text]} for one, name in names.items()])
    return pictures


GENRES = ("Comedy", "Drama", "Western")


def mm_imdb(folder: Path) -> list[Made]:
    """images/ID.jpeg, labels/ID.json, split.json; one more film in each split has two genres, one none of the 23."""
    pictures = made(GENRES, "train", "dev", "test")
    splits: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for one in pictures:
        _film(folder, one, f"{one.number:07d}", [one.label])
        splits[one.split].append(f"{one.number:07d}")
    for place, split in enumerate(splits):
        several, adult = Made("Drama", 30 + place, split), Made("Adult", 40 + place, split)
        _film(folder, several, f"{several.number:07d}", ["Drama", "Comedy"])
        _film(folder, adult, f"{adult.number:07d}", ["Adult"])
        splits[split] += [f"{several.number:07d}", f"{adult.number:07d}"]
    (folder / "split.json").write_text(json.dumps(splits))
    return pictures


def _film(folder: Path, one: Made, name: str, genres: list[str]) -> None:
    one.save(folder / "images" / f"{name}.jpeg")
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / f"{name}.json").write_text(json.dumps({"plot": [one.text], "genres": genres, "title": "t"}))


def mm_imdb_arrow(folder: Path) -> list[Made]:
    """mmimdb_SPLIT.arrow: image, plots list<string>, label list<int> of 23, genres, image_id, split."""
    pictures = made(GENRES, "train", "dev", "test")
    for split in ("train", "dev", "test"):
        mine = [one for one in pictures if one.split == split]
        columns = {
            "image": [one.picture("JPEG") for one in mine],
            "plots": [[one.text] for one in mine],
            "label": [[int(place == GENRES.index(one.label)) for place in range(23)] for one in mine],
            "genres": [[one.label] for one in mine],
            "image_id": [str(one.number) for one in mine],
            "split": [split] * len(mine),
        }
        write_ipc(folder / f"mmimdb_{split}.arrow", columns)
    return pictures


MEMES = ("not hateful", "hateful")


def hateful_memes(folder: Path) -> list[Made]:
    """data/SPLIT.jsonl and data/img/ID.png."""
    pictures = made(MEMES, "train", "dev", "test")
    for split in ("train", "dev", "test"):
        rows = []
        for one in (one for one in pictures if one.split == split):
            name = f"img/{one.number:05d}.png"
            one.save(folder / "data" / name)
            rows.append({"id": one.number, "img": name, "label": MEMES.index(one.label), "text": one.text})
        write_lines(folder / "data" / f"{split}.jsonl", rows)
    return pictures


def hateful_memes_arrow(folder: Path) -> list[Made]:
    """hatememes_SPLIT.arrow: image, text, label, split."""
    pictures = made(MEMES, "train", "dev", "test")
    for split in ("train", "dev", "test"):
        mine = [one for one in pictures if one.split == split]
        columns = {
            "image": [one.picture() for one in mine],
            "text": [[one.text] for one in mine],
            "label": [MEMES.index(one.label) for one in mine],
            "split": [split] * len(mine),
        }
        write_ipc(folder / f"hatememes_{split}.arrow", columns)
    return pictures


ANIMALS = ("zebra", "ant", "cow")


def _write_stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.RecordBatchStreamWriter(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def _hf_table(pictures: list[Made]) -> pa.Table:
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.table(
        {
            "image": pa.array([{"bytes": one.picture(), "path": None} for one in pictures], image),
            "label": pa.array([ANIMALS.index(one.label) for one in pictures], pa.int64()),
            "text": pa.array([one.text for one in pictures], pa.string()),
        }
    )


_FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": list(ANIMALS), "_type": "ClassLabel"},
    "text": {"dtype": "string", "_type": "Value"},
}


def huggingface_saved(folder: Path) -> list[Made]:
    """DatasetDict.save_to_disk, in two shards each."""
    pictures = made(ANIMALS, "train", "test")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    for split in ("train", "test"):
        place = folder / split
        place.mkdir()
        mine = [one for one in pictures if one.split == split]
        names = [f"data-{number:05d}-of-00002.arrow" for number in range(2)]
        for name, shard in zip(names, (mine[:4], mine[4:]), strict=True):
            _write_stream(place / name, _hf_table(shard))
        state = {"_data_files": [{"filename": name} for name in names], "_format_type": None, "_split": split}
        (place / "state.json").write_text(json.dumps(state))
        (place / "dataset_info.json").write_text(json.dumps({"features": _FEATURES}))
    return pictures


def huggingface_cache(folder: Path) -> list[Made]:
    """A folder of the library's cache: NAME-train.arrow, and NAME-test in two shards."""
    pictures = made(ANIMALS, "train", "test")
    by_split = {split: [one for one in pictures if one.split == split] for split in ("train", "test")}
    _write_stream(folder / "zoo-train.arrow", _hf_table(by_split["train"]))
    for number, shard in enumerate((by_split["test"][:4], by_split["test"][4:])):
        _write_stream(folder / f"zoo-test-{number:05d}-of-00002.arrow", _hf_table(shard))
    (folder / "dataset_info.json").write_text(json.dumps({"features": _FEATURES, "dataset_name": "zoo"}))
    return pictures


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _shards(pictures: list[Made]) -> Iterator[tuple[str, list[Made]]]:
    for split in ("train", "test"):
        mine = [one for one in pictures if one.split == split]
        half = len(mine) // 2
        yield f"{split}-000000.tar", mine[:half]
        yield f"{split}-000001.tar", mine[half:]


def webdataset(folder: Path) -> list[Made]:
    """KEY.jpg, KEY.cls with a number, KEY.txt; two shards a split."""
    pictures = made(("2", "10", "11"), "train", "test")
    for name, shard in _shards(pictures):
        with tarfile.open(folder / name, "w") as archive:
            for one in shard:
                _add(archive, f"part/{one.number:06d}.jpg", one.picture("JPEG"))
                _add(archive, f"part/{one.number:06d}.cls", one.label.encode())
                _add(archive, f"part/{one.number:06d}.txt", one.text.encode())
    return pictures


def webdataset_json(folder: Path) -> list[Made]:
    """KEY.png and KEY.json with the class's name and the text."""
    pictures = made(ANIMALS, "train", "test")
    for name, shard in _shards(pictures):
        with tarfile.open(folder / name, "w") as archive:
            for one in shard:
                _add(archive, f"{one.number:06d}.json", json.dumps({"label": one.label, "caption": one.text}).encode())
                _add(archive, f"{one.number:06d}.png", one.picture())
    return pictures

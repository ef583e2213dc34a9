"""UPMC Food-101: 101 dishes, photographs with the titles of the web pages that they come from.

Three layouts are in use, and the first of these that is there is read:

* the JSON tree of ViLT's successors: `class_idx.json` {class: id}, `split.json` {"train", "val", "test": [file, ...]},
  `text.json` {file: title}, and `images/train/CLASS/CLASS_N.jpg`, where the val pictures lie too, `images/test/...`;
* the Kaggle copy: `texts/train_titles.csv` and `texts/test_titles.csv` with lines FILE,TITLE,CLASS and no header, and
  the same pictures; no val split, classes in alphabetical order;
* `food101_train.arrow`, `food101_val.arrow`, `food101_test.arrow`: IPC files with image, text, label and image_id.

The class of a picture is its file name up to the last underscore.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from dist_mcl.data_config import Food101Data
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing, in_file
from dist_mcl.scenario.readers.arrow import open_table, picture_of, texts_of
from dist_mcl.scenario.readers.files import inside, read_json

_MEND = "many pictures of this set have no title"
_COLUMNS = ("image", "text", "label", "image_id")


def read(config: Food101Data) -> Listing:
    """What the folder holds, in whichever layout. Raises UserError where it has none of the three or a damaged one."""
    folder = config.folder
    if (folder / "class_idx.json").exists() and (folder / "split.json").exists():
        return _json_tree(folder, config.evaluate_on)
    if (folder / "texts" / "train_titles.csv").exists():
        return _kaggle(folder, config.evaluate_on)
    if (folder / "food101_train.arrow").exists():
        return _arrow(folder, config.evaluate_on)
    raise UserError(
        f"{folder}: has neither class_idx.json and split.json, nor texts/train_titles.csv, nor food101_train.arrow; "
        f"docs/data.md shows the layouts"
    )


def _json_tree(folder: Path, evaluate_on: str) -> Listing:
    numbers = read_json(folder / "class_idx.json", dict)
    splits = read_json(folder / "split.json", dict)
    titles = read_json(folder / "text.json", dict)
    if sorted(numbers.values(), key=str) != sorted(range(len(numbers)), key=str):
        raise UserError(f"{folder / 'class_idx.json'}: does not number its classes from 0; get it again")

    def items(split: str) -> list[Item]:
        names = splits.get(split)
        if not isinstance(names, list):
            raise UserError(f"{folder / 'split.json'}: has no list {split!r}; get it again")
        pictures = folder / "images" / ("test" if split == "test" else "train")
        return [_item(pictures, name, titles.get(str(name)), folder / "split.json") for name in names]

    classes = tuple(sorted(numbers, key=numbers.__getitem__))
    return Listing(classes, items("train"), items(evaluate_on), f"{folder / 'text.json'} has the titles, {_MEND}")


def _kaggle(folder: Path, evaluate_on: str) -> Listing:
    if evaluate_on != "test":
        raise UserError(f"data.evaluate_on: {folder / 'texts'} has no {evaluate_on} split; choose test")

    def items(split: str) -> list[Item]:
        path = folder / "texts" / f"{split}_titles.csv"
        return [_item(folder / "images" / split, name, title or None, path) for name, title in _titles(path)]

    train = items("train")
    classes = tuple(sorted({item.label for item in train}))
    return Listing(classes, train, items("test"), f"{folder / 'texts'} has the titles, {_MEND}")


def _titles(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if len(row) != 3:
                    raise UserError(f"{path}: line {number}: is not FILE,TITLE,CLASS; mend the line")
                yield row[0], row[1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); get it again") from error


def _item(pictures: Path, name: object, title: object, told_by: Path) -> Item:
    path = inside(pictures, name, str(told_by))
    label = _class_of(path.name)
    if title is not None and not isinstance(title, str):
        raise UserError(f"{told_by}: the title of {name} is {title!r} and no text; mend the file")
    place = inside(pictures / label, path.name, str(told_by))
    return Item(title, label, str(place), in_file(place))


def _class_of(name: str) -> str:
    return name.rpartition("_")[0]


def _arrow(folder: Path, evaluate_on: str) -> Listing:
    train = _rows(folder / "food101_train.arrow")
    test = _rows(folder / f"food101_{evaluate_on}.arrow")
    names: dict[int, str] = {}
    for number, item in train:
        if not isinstance(number, int):
            raise UserError(f"{item.source}: its label is {number!r}, no number of a class; get the file again")
        if names.setdefault(number, item.label) != item.label:
            raise UserError(f"{item.source}: its label {number} is {names[number]!r} elsewhere; get the file again")
    classes = tuple(names[number] for number in sorted(names))
    return Listing(classes, _only_items(train), _only_items(test), f"column text has the titles, {_MEND}")


def _rows(path: Path) -> list[tuple[int, Item]]:
    table = open_table(path, _COLUMNS)
    ids, labels, texts = (table[name].to_pylist() for name in ("image_id", "label", "text"))
    return [
        (label, Item(text, _class_of(str(name)), f"{path}: row {row}", picture_of(table, "image", row)))
        for row, (name, label, given) in enumerate(zip(ids, labels, texts, strict=True))
        for text in texts_of(given, f"{path}: row {row}")
    ]


def _only_items(rows: Iterable[tuple[int, Item]]) -> list[Item]:
    return [item for _, item in rows]

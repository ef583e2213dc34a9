"""Hateful Memes (arXiv 2005.04790): memes with their texts, hateful or not.

    data/train.jsonl  data/dev.jsonl  data/test.jsonl   lines {"id", "img": "img/ID.png", "label": 0 or 1, "text"}
    data/img/ID.png

or `hatememes_train.arrow`, `hatememes_dev.arrow`, `hatememes_test.arrow` with image, text and label.
"""

from __future__ import annotations

from pathlib import Path

from dist_mcl.data_config import HatefulMemesData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing, in_file
from dist_mcl.scenario.readers.arrow import open_table, picture_of, texts_of
from dist_mcl.scenario.readers.files import inside, read_jsonl

CLASSES = ("not hateful", "hateful")


def read(config: HatefulMemesData) -> Listing:
    """What the folder holds, in either layout. Raises UserError where a file is missing or damaged or has no labels."""
    items = _from_arrow if (config.folder / "hatememes_train.arrow").exists() else _from_lines
    train, test = (items(config.folder, split) for split in ("train", config.evaluate_on))
    return Listing(CLASSES, train, test, "the meme's line has no text")


def _from_lines(folder: Path, split: str) -> list[Item]:
    path = folder / "data" / f"{split}.jsonl"
    found = []
    for number, row in read_jsonl(path):
        source = f"{path}: line {number}"
        picture = inside(path.parent, row.get("img"), source)
        text = texts_of(row.get("text"), source)[0]
        found.append(Item(text, _class(row.get("label"), source), str(picture), in_file(picture)))
    return found


def _from_arrow(folder: Path, split: str) -> list[Item]:
    path = folder / f"hatememes_{split}.arrow"
    table = open_table(path, ("image", "text", "label"))
    pairs = enumerate(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
    return [
        Item(text, _class(label, f"{path}: row {row}"), f"{path}: row {row}", picture_of(table, "image", row))
        for row, (given, label) in pairs
        for text in texts_of(given, f"{path}: row {row}")
    ]


def _class(label: object, source: str) -> str:
    if label not in (0, 1):
        raise UserError(
            f"{source}: its label is {label!r}, not 0 or 1; a file without labels cannot be tested on, "
            f"set data.evaluate_on: dev"
        )
    return CLASSES[bool(label)]

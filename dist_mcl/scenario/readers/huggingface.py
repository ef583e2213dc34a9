"""Any data set of pictures, texts and classes that the library `datasets` has on disk; the library is not needed.

What `save_to_disk` writes: `SPLIT/state.json`, `SPLIT/dataset_info.json` and the Arrow streams that the first of them
names. Or a folder of the library's cache: `dataset_info.json`, and `NAME-SPLIT.arrow` or its shards,
`NAME-SPLIT-0000N-of-0000M.arrow`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from dist_mcl.data_config import HuggingFaceData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing
from dist_mcl.scenario.readers.arrow import open_table, picture_of, texts_of
from dist_mcl.scenario.readers.files import inside, read_json


def read(config: HuggingFaceData) -> Listing:
    """What the folder holds. Raises UserError where a split, a file or a column is missing or damaged."""
    splits = [_Split(config, name) for name in (config.train_split, config.test_split)]
    classes = splits[0].class_names or tuple(map(str, sorted(set(splits[0].labels))))
    train, test = (split.items() for split in splits)
    return Listing(classes, train, test, f"column data.text={config.text} is null there")


class _Split:
    """One split's table.

    Attributes:
        class_names: of a ClassLabel column; empty for any other.
        labels: names or numbers, one per row.
    """

    def __init__(self, config: HuggingFaceData, name: str) -> None:
        self._config = config
        self._place, files, info = _files(config.folder, name)
        tables = [open_table(path, (config.image, config.text, config.label)) for path in files]
        self._table = pa.concat_tables(tables)
        self.class_names = _class_names(info, config.label)
        self.labels: list[Any] = self._table[config.label].to_pylist()
        for row, label in enumerate(self.labels):
            if not isinstance(label, int | float | str):
                raise UserError(f"{self._source(row)}: label {label!r} is no class; leave the row out of the set")

    def items(self) -> list[Item]:
        """All rows, none of whose pictures is read yet."""
        texts = self._table[self._config.text].to_pylist()
        return [
            Item(text, self._class(row), self._source(row), picture_of(self._table, self._config.image, row))
            for row, given in enumerate(texts)
            for text in texts_of(given, self._source(row))
        ]

    def _source(self, row: int) -> str:
        return f"{self._place}: row {row}"

    def _class(self, row: int) -> str:
        label = self.labels[row]
        if not self.class_names:
            return str(label)
        if not isinstance(label, int) or not 0 <= label < len(self.class_names):
            raise UserError(f"{self._source(row)}: label {label} is none of the {len(self.class_names)} class names")
        return self.class_names[label]


def _class_names(info: Path, column: str) -> tuple[str, ...]:
    value: Any = read_json(info, dict)
    for key in ("features", column, "names"):
        value = value.get(key) if isinstance(value, dict) else None
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _files(folder: Path, split: str) -> tuple[Path, list[Path], Path]:
    """Where a split lies, its Arrow files in order, and the file that describes its columns."""
    saved = folder / split
    if (saved / "state.json").exists():
        told = read_json(saved / "state.json", dict).get("_data_files")
        if not told or not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            raise UserError(f"{saved / 'state.json'}: names no _data_files; save the data set again")
        files = [inside(saved, one.get("filename"), str(saved / "state.json")) for one in told]
        return saved, files, saved / "dataset_info.json"
    cached = sorted([*folder.glob(f"*-{split}.arrow"), *folder.glob(f"*-{split}-*-of-*.arrow")])
    if not cached:
        raise UserError(
            f"{folder}: has neither {split}/state.json nor an Arrow file of a split {split!r}; "
            f"give the right folder, or data.train_split and data.test_split"
        )
    return folder, cached, folder / "dataset_info.json"

"""The two Parquet files of a data set: objects (picture with alpha, text, label) and background photographs.

A data set is a folder with `objects.parquet` and `photographs.parquet`. Whoever writes these two files with the schemas
below has made a new data set; `readers.drawings.Scenes` reads it unchanged.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dist_mcl.errors import UserError
from dist_mcl.packages.download import cache_folder

OBJECTS = "objects.parquet"
PHOTOGRAPHS = "photographs.parquet"
SHIPPED = ("emoji",)
PREPARED = ("cdda", "shapes", "notes")
_METADATA_KEY = b"dist_mcl"

OBJECT_SCHEMA = pa.schema(
    {
        "id": pa.int32(),  # stable number of the sample, unique over both splits
        "thing": pa.string(),  # what is drawn, e.g. an emoji's code points; several samples may draw the same thing
        "name": pa.string(),  # name of the thing in words; never part of the text
        "style": pa.string(),  # who drew it
        "text": pa.string(),
        "label": pa.int16(),  # index into DatasetInfo.classes
        "group": pa.int32(),  # things that are variants of one another share a group and a split
        "split": pa.string(),  # train or test
        "picture": pa.binary(),  # RGBA, losslessly coded
    }
)
PHOTOGRAPH_SCHEMA = pa.schema(
    {
        "package": pa.string(),
        "file": pa.string(),
        "author": pa.string(),
        "licence": pa.string(),
        "split": pa.string(),
        "picture": pa.binary(),  # JPEG
    }
)


@dataclass(frozen=True)
class DatasetInfo:
    """What holds for a whole data set; kept in the metadata of `objects.parquet`.

    Attributes:
        title: one line for people.
        licence: SPDX identifier of the set as a whole.
        side: pixels of a picture's side.
        hard_words: words that a hard text keeps.
        classes: class names; a label is an index into them.
    """

    title: str
    licence: str
    side: int
    hard_words: int
    classes: tuple[str, ...]


def shipped_folder(name: str) -> Path:
    """Where a data set that comes with the package lies."""
    return Path(str(resources.files("dist_mcl"))) / "data" / name


def folder_of(name: str) -> Path:
    """Where a data set lies unless the user says otherwise: in the package, or where `mcl data prepare` puts it."""
    return shipped_folder(name) if name in SHIPPED else cache_folder() / "data" / name


def write_objects(path: Path, columns: dict[str, list[object]], info: DatasetInfo) -> None:
    """Write `objects.parquet` from one list per column of `OBJECT_SCHEMA`."""
    metadata = {_METADATA_KEY: json.dumps(asdict(info))}
    _write(path, pa.table(columns, schema=OBJECT_SCHEMA.with_metadata(metadata)))


def write_photographs(path: Path, columns: dict[str, list[object]]) -> None:
    """Write `photographs.parquet` from one list per column of `PHOTOGRAPH_SCHEMA`."""
    _write(path, pa.table(columns, schema=PHOTOGRAPH_SCHEMA))


def read_objects(folder: Path) -> tuple[pa.Table, DatasetInfo]:
    """All objects of a data set and what holds for the whole.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    path = folder / OBJECTS
    table = read_table(path, OBJECT_SCHEMA)
    try:
        raw = json.loads((table.schema.metadata or {})[_METADATA_KEY])
        info = DatasetInfo(**{**raw, "classes": tuple(raw["classes"])})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: carries no data set description; {mend(path)}") from error
    return table, info


def read_photographs(folder: Path) -> pa.Table:
    """All background photographs of a data set. Raises UserError as `read_objects` does."""
    return read_table(folder / PHOTOGRAPHS, PHOTOGRAPH_SCHEMA)


def _write(path: Path, table: pa.Table) -> None:
    # Pictures are compressed already; the other columns shrink well.
    compression = {name: "NONE" if name == "picture" else "ZSTD" for name in table.column_names}
    pq.write_table(table, path, compression=compression, use_dictionary=["style", "split", "package", "licence"])


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The whole of a Parquet file.

    Raises:
        UserError: it is missing, damaged or of another schema.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such data file; {mend(path)}") from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file; {mend(path)}") from error
    if not table.schema.equals(schema, check_metadata=False):
        missing = sorted(set(schema.names) - set(table.column_names))
        raise UserError(f"{path}: another format, columns missing or of another type {missing}; {mend(path)}")
    return table


def mend(path: Path) -> str:
    """What to do about a missing or damaged file of a data set."""
    for name in PREPARED:
        if path.parent == folder_of(name):
            return f"make it with `mcl data prepare {name}`"
    # The folder's name is the user's own and need not be the data set's.
    return f"make it with `mcl data prepare NAME --output {path.parent}`, NAME being one of `mcl data list`"

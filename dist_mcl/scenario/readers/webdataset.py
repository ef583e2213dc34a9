"""WebDataset tars: the members of one sample follow one another and share a key, the name up to its first dot.

A sample is KEY.jpg (or png, jpeg, webp), its class in KEY.cls or under "label" in KEY.json, and its text in KEY.txt or
under "text" or "caption" there. Opening a set reads the headers and the small members; pictures are read at their
offset when they are asked for, so the tars must not be compressed.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dist_mcl.data_config import WebDatasetData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing
from dist_mcl.scenario.readers.files import PICTURE_SUFFIXES


def read(config: WebDatasetData) -> Listing:
    """What the tars hold. Raises UserError where there is none, or one is damaged or has samples without a class."""
    train = _items(config.folder, config.train, "data.train")
    test = _items(config.folder, config.test, "data.test")
    classes = {item.label for item in train}
    ordered = sorted(classes, key=int) if all(map(str.isdecimal, classes)) else sorted(classes)
    return Listing(tuple(ordered), train, test, "put it into KEY.txt")


def _items(folder: Path, pattern: str, field: str) -> list[Item]:
    tars = sorted(folder.glob(pattern))
    if not tars:
        raise UserError(f"{field}: no file {pattern!r} in {folder}; give the pattern of the tars")
    return [_item(tar, key, members) for tar in tars for key, members in _samples(tar)]


class _Member:
    """One member of a tar: where its bytes lie."""

    def __init__(self, tar: Path, info: tarfile.TarInfo) -> None:
        self._tar, self._offset, self._size = tar, info.offset_data, info.size

    def read(self) -> bytes:
        with self._tar.open("rb") as file:
            file.seek(self._offset)
            return file.read(self._size)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.read())


def _samples(tar: Path) -> Iterator[tuple[str, dict[str, _Member]]]:
    """Keys and members by suffix, in the tar's order."""
    found: dict[str, dict[str, _Member]] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for info in archive:
                if info.isreg():
                    key, suffix = _key(info.name)
                    found.setdefault(key, {})[suffix] = _Member(tar, info)
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{tar}: not a whole, uncompressed tar ({error}); unpack or get it again") from error
    yield from found.items()


def _key(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return str(path.with_name(stem)), f".{suffix.lower()}"


def _item(tar: Path, key: str, members: dict[str, _Member]) -> Item:
    source = f"{tar}: {key}"
    pictures = [member for suffix, member in members.items() if suffix in PICTURE_SUFFIXES]
    if len(pictures) != 1:
        raise UserError(f"{source}: has {len(pictures)} pictures among {', '.join(members)}; one is wanted")
    facts = _parsed(members, ".json", json.loads, source) or {}
    if not isinstance(facts, dict):
        raise UserError(f"{source}.json: is no JSON object; mend the tar")
    label = _parsed(members, ".cls", str.strip, source)
    text = _parsed(members, ".txt", str.strip, source)
    label = facts.get("label") if label is None else label
    if label is None:
        raise UserError(f'{source}: has no class; put it into KEY.cls, or under "label" in KEY.json')
    given = facts.get("text", facts.get("caption")) if text is None else text
    return Item(None if given is None else str(given), str(label), source, pictures[0].open)


def _parsed(members: dict[str, _Member], suffix: str, parse: Callable[[str], Any], source: str) -> Any:
    if suffix not in members:
        return None
    try:
        return parse(members[suffix].read().decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{source}{suffix}: cannot be read ({error}); mend the tar") from error

"""Small files beside pictures: JSON, JSON lines, captions; and names in them that must not lead out of their folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from dist_mcl.errors import UserError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
CAPTIONS = "captions.jsonl"
_LONGEST_NAME = 255  # bytes, on Linux's file systems


def read_json(path: Path, kind: type) -> Any:
    """The document of a JSON file that holds a dict or a list.

    Raises:
        UserError: the file is missing, is no JSON or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; docs/data.md shows the layout") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error}); get it again") from error
    if not isinstance(value, kind):
        raise UserError(f"{path}: holds no JSON {kind.__name__}; docs/data.md shows the layout")
    return value


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of a file of JSON lines; empty lines are passed over. Raises as `read_json`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; docs/data.md shows the layout") from error
    except ValueError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error}); get it again") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _object(path, number, line)


def inside(folder: Path, name: object, told_by: str) -> Path:
    """The path of a file that another file names.

    Raises:
        UserError: the name is none, leads out of the folder, or is none that a file can have.
    """
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if not path.parts or path.is_absolute() or not all(map(_is_name, path.parts)):
        raise UserError(f"{told_by}: {_short(name)} is no path within {folder}; mend the file")
    return folder.joinpath(*path.parts)


def read_captions(folder: Path) -> dict[str, list[str]]:
    """Captions by the picture's path within the folder, as `mcl data caption` writes them.

    Each line is {"image": path, "captions": [text, ...]}; other keys are allowed. A folder without captions.jsonl has
    no captions.

    Raises:
        UserError: a line is none of these, or a picture has two lines.
    """
    path = folder / CAPTIONS
    found: dict[str, list[str]] = {}
    for number, row in read_jsonl(path) if path.exists() else ():
        image, captions = row.get("image"), row.get("captions")
        if not isinstance(image, str) or not _is_texts(captions):
            raise UserError(f'{path}: line {number}: is not {{"image": path, "captions": [text, ...]}}; mend the line')
        if image in found:
            raise UserError(f"{path}: line {number}: {image} has captions already; keep one of the lines")
        found[image] = captions
    return found


def _is_name(part: str) -> bool:
    try:
        return part != ".." and "\0" not in part and len(os.fsencode(part)) <= _LONGEST_NAME
    except UnicodeEncodeError:  # half of a character, which JSON can write
        return False


def _short(name: object) -> str:
    said = repr(name)
    return said if len(said) <= 80 else f"{said[:80]}..."


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: line {number}: not JSON ({error}); mend or remove the line") from error
    if not isinstance(row, dict):
        raise UserError(f"{path}: line {number}: not a JSON object; mend or remove the line")
    return row

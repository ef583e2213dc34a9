"""What a catalogue of Sweet Home 3D says about its models.

Format: <http://www.sweethome3d.com/blog/> and the class DefaultFurnitureCatalog of its source: Java properties, one
group of keys `KEY#NUMBER` for each model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from dist_mcl.errors import UserError

_LINE = re.compile(r"\s*(\w+)#(\d+)\s*[=:]\s*(.*)")
_CODED = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")


@dataclass(frozen=True)
class CatalogueEntry:
    """One model of a catalogue.

    Attributes:
        catalogue: its name.
        path: of the model's OBJ file in the archive.
        name: in English.
        category: of the catalogue, in English.
        creator: who made it; empty where the catalogue does not say.
        size: width, depth and height in cm; 0 where the catalogue does not say.
        rotation: 9 numbers, the matrix that sets the model upright, row after row.
    """

    catalogue: str
    path: str
    name: str
    category: str
    creator: str
    size: tuple[float, float, float]
    rotation: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def read_entries(catalogue: str, properties: bytes) -> Iterator[CatalogueEntry]:
    """The models that a properties file describes, in the order of their numbers.

    Raises:
        UserError: a number is none; names catalogue and model.
    """
    numbered: dict[int, dict[str, str]] = defaultdict(dict)
    for line in _logical_lines(properties.decode("latin-1")):
        match = _LINE.match(line)
        if match:
            numbered[int(match[2])][match[1]] = _decoded(match[3].strip())
    for number in sorted(numbered):
        if "model" in numbered[number]:
            yield _entry(catalogue, number, numbered[number])


def _entry(catalogue: str, number: int, said: dict[str, str]) -> CatalogueEntry:
    try:
        width, depth, height = (float(said.get(side) or 0) for side in ("width", "depth", "height"))
        rotation = tuple(float(part) for part in said.get("modelRotation", "").split())
    except ValueError as error:
        raise UserError(f"{catalogue}: model {number}: {error}; delete the downloaded package and run again") from error
    path, name, creator = (said.get(key, "") for key in ("model", "name", "creator"))
    size = (width, depth, height)
    entry = CatalogueEntry(catalogue, path.lstrip("/"), name, said.get("category", ""), creator, size)
    return entry if len(rotation) != 9 else CatalogueEntry(**{**vars(entry), "rotation": rotation})


def _logical_lines(text: str) -> list[str]:
    """Lines, with those that end in a backslash joined to the next."""
    return re.sub(r"\\\r?\n\s*", "", text).splitlines()


def _decoded(value: str) -> str:
    return _CODED.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], value)

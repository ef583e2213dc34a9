"""The Cataclysm-DDA set: a thing of the game drawn by up to nine artists, with its description in English.

Class = a rule on the thing's structured fields (`classes`), of which at least 100 pictures remain; guns, ammunition,
mutagens and human targets have no class on purpose. Text = description; the thing's name is never part of it. Split by
groups of things (`split`): what shares a sprite or (nearly) a description stays on one side.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from PIL import Image

from dist_mcl.errors import UserError
from dist_mcl.packages import cdda as package
from dist_mcl.scenario.builders.cdda.classes import class_of
from dist_mcl.scenario.builders.cdda.definitions import Thing, read_things
from dist_mcl.scenario.builders.cdda.split import Picture, choose_test_groups, drop_shared, group_things
from dist_mcl.scenario.builders.cdda.sprites import TileSet, square
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.tables import DatasetInfo

SIDE = 96
HARD_WORDS = 8
_FEWEST_PICTURES = 100
_FEWEST_WORDS = 5


def wanted(member: str) -> bool:
    """Whether a file of the package is needed: definitions, the chosen tile sets, the licence."""
    path = member.removeprefix(package.ROOT)
    if path == member:
        return member == package.COPYRIGHT
    parts = path.split("/")
    return path.endswith(".json") if parts[0] == "json" else parts[0] == "gfx" and parts[1] in package.TILE_SETS


def build(files: Mapping[str, bytes], track: Track) -> tuple[dict[str, list[Any]], DatasetInfo]:
    """Columns of `tables.OBJECT_SCHEMA` and the set's description.

    Args:
        files: contents by path below the game's folder.
        track: yields a sequence and shows progress.

    Raises:
        UserError: a file is missing or is not what the game's version has.
    """
    things = {thing.id: thing for thing in read_things(files) if len(thing.description.split()) >= _FEWEST_WORDS}
    drawn = [one for name in track(package.TILE_SETS, "cutting sprites") for one in _drawn(name, files, things)]
    pictures = drop_shared(drawn)
    groups = group_things(pictures)
    counts = Counter(picture.label for picture in pictures)
    classes = tuple(name for name, count in counts.most_common() if count >= _FEWEST_PICTURES)
    if not classes:
        raise UserError(f"{package.GAME.name}: no class has {_FEWEST_PICTURES} pictures; the package is another one")
    test = choose_test_groups(pictures, groups, classes)
    chosen = [picture for picture in pictures if picture.label in classes]
    columns = _columns(chosen, groups, test, classes, track)
    title = "Things of Cataclysm: Dark Days Ahead by nine artists, with descriptions"
    return columns, DatasetInfo(title, package.LICENCE, SIDE, HARD_WORDS, classes)


def _drawn(name: str, files: Mapping[str, bytes], things: Mapping[str, Thing]) -> list[Picture]:
    tiles = TileSet.read(name, files)
    found = []
    for thing_id, sprite in tiles.sprites.items():
        thing = things.get(thing_id)
        label = class_of(thing) if thing else None
        drawing = tiles.drawing(sprite) if label else None
        if thing and label and drawing:
            found.append(Picture(thing, label, name, drawing))
    return found


def _columns(
    pictures: Sequence[Picture],
    groups: Mapping[str, str],
    test: frozenset[Hashable],
    classes: Sequence[str],
    track: Track,
) -> dict[str, list[Any]]:
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    of = [groups[picture.thing.id] for picture in pictures]
    return {
        "id": list(range(len(pictures))),
        "thing": [picture.thing.id for picture in pictures],
        "name": [picture.thing.name for picture in pictures],
        "style": [picture.style for picture in pictures],
        "text": [picture.thing.description for picture in pictures],
        "label": [classes.index(picture.label) for picture in pictures],
        "group": [numbers[group] for group in of],
        "split": ["test" if group in test else "train" for group in of],
        "picture": [_coded(picture.drawing) for picture in track(pictures, "drawing")],
    }


def _coded(drawing: Image.Image) -> bytes:
    coded = io.BytesIO()
    square(drawing, SIDE).save(coded, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return coded.getvalue()

"""A made-up game in the layout of the real package: nine tile sets, definitions with inheritance."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dist_mcl.packages.cdda import COPYRIGHT, ROOT, TILE_SETS

SIDE = 8
THINGS = 14  # of each class; nine artists make 126 pictures of them
_WORDS = [f"{first}{second}" for first in ("bar", "lon", "mig", "ter", "sop") for second in ("ka", "len", "ost", "ru")]


def description(number: int) -> str:
    """Nine words that no other thing has in this mixture."""
    return " ".join(np.random.default_rng(number).choice(_WORDS, 9, replace=False))


def definitions() -> dict[str, list[dict[str, Any]]]:
    """Two large classes, books and robots; one small one, fish; and what has none."""
    books = [
        {"type": "BOOK", "id": f"book_{n}", "name": {"str": f"volume {n}"}, "description": description(n)}
        for n in range(THINGS)
    ]
    robots = [
        {
            "type": "MONSTER",
            "id": f"robot_{n}",
            "copy-from": "base_robot",
            "name": f"machine {n}",
            "description": f"<color_red>{description(100 + n)}</color>",
        }
        for n in range(THINGS)
    ]
    return {
        "json/items/books.json": books,
        "json/monsters/robots.json": [{"type": "MONSTER", "abstract": "base_robot", "species": ["ROBOT"]}, *robots],
        "json/monsters/fish.json": [
            {"type": "MONSTER", "id": "fish_0", "species": "FISH", "name": "cod", "description": description(300)}
        ],
        "json/items/guns.json": [{"type": "GUN", "id": "gun_0", "name": "rifle", "description": description(301)}],
        "json/items/short.json": [{"type": "BOOK", "id": "terse", "name": "note", "description": "too few words"}],
    }


def sprite(name: str, number: int) -> Image.Image:
    """A drawing that no other tile set and thing has, with an empty border."""
    seed = np.random.default_rng([TILE_SETS.index(name), number])
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[1:-1, 1:-1] = [*seed.integers(0, 256, 3), 255]
    pixels[2, 2:5, :3] = seed.integers(0, 256, (3, 3))
    return Image.fromarray(pixels)


def files(ids: list[str] | None = None, sprites: dict[str, int] | None = None) -> dict[str, bytes]:
    """Contents by path below the game's folder.

    Args:
        ids: of the things that are drawn; all when left out.
        sprites: things that get another sprite's number than their own place in `ids`, in every tile set.
    """
    content = {path: json.dumps(rows).encode() for path, rows in definitions().items()}
    drawn = ids or [row["id"] for rows in definitions().values() for row in rows if "id" in row]
    numbers = {one: (sprites or {}).get(one, place) for place, one in enumerate(drawn)}
    for name in TILE_SETS:
        content.update(_tile_set(name, numbers))
    return content


def archive(path: Path) -> Path:
    """The same as a package: a tar with the paths that the real one has."""
    members = {f"./{ROOT}{name}": content for name, content in files().items()}
    members |= {f"./{COPYRIGHT}": b"Files: *\nLicense: CC-BY-SA-3.0\n", f"./{ROOT}sound/boom.ogg": b"noise"}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def _tile_set(name: str, numbers: dict[str, int]) -> dict[str, bytes]:
    # Two sheets: the second one's sprites are numbered on from the first one's, row by row of four.
    rows = -(-len(numbers) // 8)
    sheets = [Image.new("RGBA", (4 * SIDE, rows * SIDE)) for _ in range(2)]
    for place in range(len(numbers)):
        within, column = divmod(place % (4 * rows), 4)
        sheets[place // (4 * rows)].paste(sprite(name, place), (column * SIDE, within * SIDE))
    tiles = [{"id": one, "fg": number} for one, number in numbers.items()]
    # All the ways in which a tile names its sprite.
    tiles[1]["fg"] = [tiles[1]["fg"], 0]
    tiles[2]["fg"] = [{"weight": 3, "sprite": tiles[2]["fg"]}, {"weight": 1, "sprite": 0}]
    tiles[3]["fg"], tiles[3]["id"] = [{"weight": 1, "sprite": [tiles[3]["fg"], 0]}], [tiles[3]["id"], "unknown"]
    config = {
        "tile_info": [{"width": SIDE, "height": SIDE}],
        "tiles-new": [{"file": "one.png", "tiles": tiles}, {"file": "two.png", "tiles": [{"id": "no_picture"}]}],
    }
    coded = {f"gfx/{name}/tile_config.json": json.dumps(config).encode()}
    for file, sheet in zip(("one.png", "two.png"), sheets, strict=True):
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        coded[f"gfx/{name}/{file}"] = buffer.getvalue()
    return coded

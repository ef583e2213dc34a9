"""Tile sets: one artist's drawings, cut out of sheets."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dist_mcl.errors import UserError

_SMALLEST = 4  # pixels of a side: what is smaller is a dot, not a drawing


@dataclass(frozen=True)
class _Sheet:
    """Sprites of one size, numbered row by row from `first`."""

    first: int
    count: int
    picture: Image.Image
    width: int
    height: int

    def cut(self, number: int) -> Image.Image:
        row, column = divmod(number - self.first, self.picture.width // self.width)
        left, top = column * self.width, row * self.height
        return self.picture.crop((left, top, left + self.width, top + self.height))


@dataclass(frozen=True)
class TileSet:
    """One artist's drawings.

    Attributes:
        sprites: the sprite's number by the thing's id.
        sheets: where the sprites are.
    """

    sprites: Mapping[str, int]
    sheets: Sequence[_Sheet]

    @classmethod
    def read(cls, name: str, files: Mapping[str, bytes]) -> TileSet:
        """The tile set in gfx/NAME.

        Args:
            files: contents by path below the game's folder.

        Raises:
            UserError: a file is missing or damaged.
        """
        folder = f"gfx/{name}"
        try:
            return cls._read(folder, files)
        except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
            raise UserError(f"{folder}: not a whole tile set ({error}); delete the package and run again") from error

    @classmethod
    def _read(cls, folder: str, files: Mapping[str, bytes]) -> TileSet:
        config = json.loads(files[f"{folder}/tile_config.json"])
        usual = config["tile_info"][0]
        sprites: dict[str, int] = {}
        sheets: list[_Sheet] = []
        first = 0
        for described in config["tiles-new"]:
            picture = Image.open(io.BytesIO(files[f"{folder}/{described['file']}"])).convert("RGBA")
            width = described.get("sprite_width", usual["width"])
            height = described.get("sprite_height", usual["height"])
            count = (picture.width // width) * (picture.height // height)
            sheets.append(_Sheet(first, count, picture, width, height))
            for tile in described.get("tiles", []):
                number = _foreground(tile.get("fg"))
                for thing_id in tile["id"] if isinstance(tile["id"], list) else [tile["id"]]:
                    if number is not None:
                        sprites.setdefault(thing_id, number)  # the order counts: groups are named in it
            first += count
        return cls(sprites, sheets)

    def drawing(self, number: int) -> Image.Image | None:
        """A sprite without its empty border, RGBA; None where there is next to nothing."""
        for sheet in self.sheets:
            if sheet.first <= number < sheet.first + sheet.count:
                sprite = sheet.cut(number)
                box = sprite.getbbox()
                cut = sprite.crop(box) if box else sprite
                return cut if box and min(cut.size) >= _SMALLEST else None
        return None


def square(drawing: Image.Image, side: int) -> Image.Image:
    """The drawing in the middle of a transparent square, scaled to `side` pixels; pixel art keeps its sharp pixels."""
    extent = max(drawing.size)
    whole = Image.new("RGBA", (extent, extent), (255, 255, 255, 0))
    whole.paste(drawing, ((extent - drawing.width) // 2, (extent - drawing.height) // 2))
    return whole.resize((side, side), Image.Resampling.NEAREST if extent <= side else Image.Resampling.BOX)


def _foreground(value: Any) -> int | None:
    """The first of the sprites that a tile may show: a number, a list of them, or a weighted list."""
    if isinstance(value, list):
        value = value[0] if value else None
        value = value.get("sprite") if isinstance(value, dict) else value
        value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) and value >= 0 else None

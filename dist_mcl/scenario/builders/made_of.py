"""What a prepared set of questions is made of, written beside it: one that is there already is not built again."""

from __future__ import annotations

from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.packages import notes, shapes
from dist_mcl.packages.download import Package
from dist_mcl.scenario.questions.tables import check_sums

MADE_OF = "MADE_OF"
PACKAGES: dict[str, tuple[Package, ...]] = {
    "shapes": shapes.PACKAGES,
    "notes": tuple(font.package for font in notes.SOUND_FONTS),
}
_RECIPE = 1  # with another number, sets that were made earlier are made again


def made_of(name: str, most: int | None) -> str:
    """The text of `MADE_OF` for so many of each class; all where `most` is None."""
    lines = (f"{package.name} {package.version} {package.sha256}\n" for package in PACKAGES[name])
    return "".join([f"recipe {_RECIPE}\n", f"of each class {'all' if most is None else most}\n", *lines])


def is_prepared(name: str, folder: Path, most: int | None) -> bool:
    """Whether a folder holds the set of so many of each class, whole, as this version makes it.

    A set of before there was `MADE_OF` is none: nothing tells a part from the whole.
    """
    try:
        found = (folder / MADE_OF).read_text(encoding="utf-8")
        check_sums(folder)
    except (OSError, UnicodeDecodeError, UserError):
        return False
    return found == made_of(name, most)

"""Background photographs for scenes, from Debian's wallpaper packages.

`photographs.csv` lists them with author, licence and split. They were chosen by eye: photographs only, no drawings, no
flat gradients. Test photographs avoid the packages that pretraining draws its backgrounds from.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from dist_mcl.packages.download import Package, read_members
from dist_mcl.scenario.builders.progress import Track

PACKAGES = {
    package.name: package
    for package in (
        Package(
            "debian",
            "mate-backgrounds",
            "1.26.0-1",
            "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        ),
        Package(
            "debian",
            "lomiri-wallpapers-16.04",
            "20.04.0-2",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        ),
        Package(
            "debian",
            "palapeli-data",
            "4:22.12.3-1",
            "69a15dce2ac25ed8708ac518cd0cee5f4eb0c70ed15da2fdb8899a19ac0ee058",
        ),
        Package(
            "debian",
            "tuxpaint-data",
            "1:0.9.28-sdl2-1",
            "f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
        ),
    )
}
LONG_SIDE = 512
QUALITY = 88


def listed() -> list[dict[str, str]]:
    """The rows of `photographs.csv`: package, path, split, author, licence."""
    text = resources.files("dist_mcl.scenario.builders").joinpath("photographs.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def build(archives: Mapping[Package, Path], track: Track) -> dict[str, list[Any]]:
    """Columns of `tables.PHOTOGRAPH_SCHEMA`, in the order of the list."""
    rows = listed()
    paths = defaultdict(list)
    for row in rows:
        paths[row["package"]].append(row["path"])
    originals = {name: read_members(archives[PACKAGES[name]], wanted) for name, wanted in paths.items()}
    return {
        "package": [row["package"] for row in rows],
        "file": [Path(row["path"]).name for row in rows],
        "author": [row["author"] for row in rows],
        "licence": [row["licence"] for row in rows],
        "split": [row["split"] for row in rows],
        "picture": [_shrink(originals[row["package"]][row["path"]]) for row in track(rows, "photographs")],
    }


def _shrink(original: bytes) -> bytes:
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(original))).convert("RGB")
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=QUALITY, optimize=True)
    return coded.getvalue()

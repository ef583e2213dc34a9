"""ImageNet-R (arXiv 2006.16241) with captions: MM-ImageNet-R (arXiv 2412.09549), whose own captions were not released.

An image folder (`readers.image_folder`) whose 200 classes are WordNet numbers; their English names are read from the
README.txt of the official archive where it lies beside them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from dist_mcl.data_config import ImageNetRData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing
from dist_mcl.scenario.readers import image_folder

_WORDNET = re.compile(r"n\d{8}")
_NAME = re.compile(r"^(n\d{8})\s+(\S.*)$", re.MULTILINE)


def read(config: ImageNetRData) -> Listing:
    """What the folder holds; class ids follow the WordNet numbers. Raises UserError as `image_folder.read`."""
    listing = image_folder.read(config)
    foreign = [name for name in listing.classes if not _WORDNET.fullmatch(name)]
    if foreign:
        raise UserError(f"{config.folder}: {foreign[0]!r} is no WordNet number; use dataset: image_folder for this set")
    names = _names(config.folder / "README.txt")

    def named(items: list[Item]) -> list[Item]:
        return [replace(item, label=names.get(item.label, item.label)) for item in items]

    classes = tuple(names.get(name, name) for name in listing.classes)
    return replace(listing, classes=classes, train=named([*listing.train]), test=named([*listing.test]))


def _names(readme: Path) -> dict[str, str]:
    if not readme.exists():
        return {}
    found = dict(_NAME.findall(readme.read_text(encoding="utf-8", errors="replace")))
    # Two classes of ImageNet share a name (crane, maillot): there the number stays.
    return {number: name for number, name in found.items() if list(found.values()).count(name) == 1}

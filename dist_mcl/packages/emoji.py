"""The packages that emoji are drawn and named in, and how names and drawings are spelled there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dist_mcl.packages.download import Package

ARTISTS = {
    artist: Package("npm", f"@iconify-json/{artist}", version, sha256)
    for artist, version, sha256 in (
        ("noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
        ("noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
        ("twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
        ("openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"),
        ("emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
        ("emojione-v1", "1.2.3", "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3"),
        ("fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"),
        ("fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"),
    )
}
KEYWORDS = Package(
    "npm", "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{side}" height="{side}" '
    'viewBox="{left} {top} {width} {height}">{body}</svg>'
)


def icon_svg(drawing: Mapping[str, Any], defaults: Mapping[str, Any], side: int | str, colour: str = "#000") -> str:
    """The SVG file of one icon of an Iconify package.

    Args:
        drawing: its entry under `icons`.
        defaults: the whole `icons.json`, whose `width` and `height` hold where the entry has none.
        side: width and height in pixels; a string is put in as it is, as a placeholder.
        colour: what `currentColor` stands for.
    """
    return _SVG.format(
        side=side,
        left=drawing.get("left", 0),
        top=drawing.get("top", 0),
        width=drawing.get("width", defaults.get("width", 16)),
        height=drawing.get("height", defaults.get("height", 16)),
        body=drawing["body"].replace("currentColor", colour),
    )


def plain_code(hexcode: str) -> str:
    """Code points without the sign that asks for a coloured picture: artists put it or leave it out."""
    return hexcode.lower().replace("-fe0f", "")


def slug(name: str) -> str:
    """An emoji's name as it is spelled in icon names."""
    without_apostrophes = re.sub(r"['\u2019]", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", without_apostrophes).strip("-")

"""The emoji set: one Unicode emoji drawn by up to eight artists, with its CLDR keywords.

Class = Unicode subgroup with at least 100 pictures and 14 different emoji, flags left out. Text = English keywords; the
emoji's name is never part of it. Split by emoji, variants kept together (`variants`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

from dist_mcl.packages.download import Package, read_members
from dist_mcl.packages.emoji import ARTISTS, KEYWORDS, icon_svg, plain_code, slug
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.builders.variants import Drawn, choose_test_groups, group_variants
from dist_mcl.scenario.tables import DatasetInfo

SIDE = 96
# Variants are found at this size: a choice that the published split depends on.
GROUPING_SIDE = 48
_FEWEST_PICTURES, _FEWEST_EMOJI = 100, 14
_LEFT_OUT = ("country-flag", "subdivision-flag")


@dataclass(frozen=True)
class Emoji:
    """One entry of the Unicode list."""

    hexcode: str
    name: str
    keywords: str
    subgroup: str


@dataclass(frozen=True)
class Icon:
    """One artist's drawing of one emoji. `svg` has a `{side}` to fill in."""

    emoji: Emoji
    artist: str
    svg: str


@dataclass(frozen=True)
class Credit:
    """Who drew one style."""

    style: str
    author: str
    licence: str
    url: str
    package: str


def build(archives: Mapping[Package, Path], track: Track) -> tuple[dict[str, list[Any]], DatasetInfo]:
    """Columns of `tables.OBJECT_SCHEMA` and the set's description, from the downloaded packages.

    `track(sequence, description)` yields the sequence and shows progress.
    """
    icons, classes = _choose_classes(_icons(archives))
    drawn = [_drawn(icon) for icon in track(icons, "finding variants")]
    groups = group_variants(drawn)
    test = choose_test_groups(drawn, groups, classes)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    columns: dict[str, list[Any]] = {
        "id": list(range(len(icons))),
        "thing": [icon.emoji.hexcode for icon in icons],
        "name": [icon.emoji.name for icon in icons],
        "style": [icon.artist for icon in icons],
        "text": [icon.emoji.keywords for icon in icons],
        "label": [classes.index(icon.emoji.subgroup) for icon in icons],
        "group": [numbers[groups[icon.emoji.hexcode]] for icon in icons],
        "split": ["test" if groups[icon.emoji.hexcode] in test else "train" for icon in icons],
        "picture": [_picture(icon) for icon in track(icons, "drawing")],
    }
    title = "Unicode emoji by eight artists, with keywords"
    return columns, DatasetInfo(title, "CC-BY-SA-4.0", SIDE, hard_words=3, classes=classes)


def artist_credits(archives: Mapping[Package, Path]) -> list[Credit]:
    """What each artist's package says about its author and licence."""
    found = []
    for artist, package in ARTISTS.items():
        info = _json(archives[package], "package/info.json")
        author = info["author"]
        found.append(
            Credit(artist, author["name"], info["license"]["spdx"], author["url"], f"{package.name} {package.version}")
        )
    return found


def _icons(archives: Mapping[Package, Path]) -> list[Icon]:
    emoji = _emoji(archives[KEYWORDS])
    by_code = {plain_code(entry.hexcode): entry for entry in emoji}
    by_slug = {slug(entry.name): entry for entry in emoji}
    for code, icon_name in _json(archives[ARTISTS["noto"]], "package/chars.json").items():
        if plain_code(code) in by_code:
            by_slug.setdefault(icon_name, by_code[plain_code(code)])
    found: dict[tuple[str, str], Icon] = {}
    for artist, package in ARTISTS.items():
        for icon in _artist_icons(artist, archives[package], by_code, by_slug):
            # An artist's second drawing of an emoji takes the place of the first.
            found[icon.emoji.hexcode, artist] = icon
    return list(found.values())


def _artist_icons(
    artist: str, archive: Path, by_code: Mapping[str, Emoji], by_slug: Mapping[str, Emoji]
) -> Iterator[Icon]:
    drawings = _json(archive, "package/icons.json")
    chars = _json(archive, "package/chars.json")
    by_name = {name: by_code[plain_code(code)] for code, name in chars.items() if plain_code(code) in by_code}
    for name, drawing in drawings["icons"].items():
        emoji = by_name.get(name) or by_slug.get(name)
        if emoji is not None:
            yield Icon(emoji, artist, icon_svg(drawing, drawings, side="{side}"))


def _choose_classes(icons: Sequence[Icon]) -> tuple[list[Icon], tuple[str, ...]]:
    pictures = Counter(icon.emoji.subgroup for icon in icons)
    emoji = Counter(subgroup for subgroup, _ in {(icon.emoji.subgroup, icon.emoji.hexcode) for icon in icons})
    classes = tuple(
        name
        for name, count in pictures.most_common()
        if count >= _FEWEST_PICTURES and emoji[name] >= _FEWEST_EMOJI and name not in _LEFT_OUT
    )
    return [icon for icon in icons if icon.emoji.subgroup in classes], classes


def _emoji(archive: Path) -> list[Emoji]:
    subgroups = _json(archive, "package/meta/groups.json")["subgroups"]
    return [
        Emoji(entry["hexcode"], entry["label"], ", ".join(entry.get("tags", [])), subgroups[str(entry["subgroup"])])
        for entry in _json(archive, "package/en/data.json")
        if "subgroup" in entry
    ]


def _drawn(icon: Icon) -> Drawn:
    small = Image.new("RGBA", (GROUPING_SIDE, GROUPING_SIDE), "white")
    small.alpha_composite(_render(icon, GROUPING_SIDE))
    # The digest may come to stand for its group, and groups are drawn in sorted order: another hash, another split.
    digest = hashlib.md5(small.convert("RGB").tobytes(), usedforsecurity=False).hexdigest()
    return Drawn(icon.emoji.hexcode, icon.emoji.subgroup, icon.emoji.name, icon.emoji.keywords, digest)


def _picture(icon: Icon) -> bytes:
    coded = io.BytesIO()
    _render(icon, SIDE).save(coded, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return coded.getvalue()


def _render(icon: Icon, side: int) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=icon.svg.replace("{side}", str(side)), skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def _json(archive: Path, member: str) -> Any:
    return json.loads(read_members(archive, [member])[member])

"""What pretraining looks at: drawings with words, from packages, and photographs to put behind them."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dist_mcl.backbones.pretraining import sources
from dist_mcl.backbones.pretraining.compose import SIDE
from dist_mcl.packages.download import Package, iter_members, read_members
from dist_mcl.packages.emoji import ARTISTS, KEYWORDS, icon_svg, plain_code, slug

Archives = Mapping[Package, Path]
_RENDERED, _LARGEST_SVG = 160, 1_500_000
# Parts of an icon's name that say how it is drawn, not what.
_STYLE_WORDS = re.compile(r"-(16|20|24|28|32|48|filled|regular|fill|line|duo|flat|static|alt)(?=-|$)")
_CLIPART_NOISE = {"unsorted", "clip art", "clipart", "ext", "svg"}
# Sheets of near copies in the clip art: star patterns, icon themes, flags.
_CLIPART_SHEETS = ("gramastar", "theme", "flag")


@dataclass(frozen=True, eq=False)
class Item:
    """A thing to look at.

    Attributes:
        drawing: uint8 RGBA (96, 96, 4), cut to its outline and centred.
        words: what it shows, lower-case words.
        weight: how often it is drawn, relative to others.
    """

    drawing: NDArray[np.uint8]
    words: str
    weight: float


def packages() -> list[Package]:
    """All packages that pretraining needs besides the two teachers."""
    drawn = [sources.CLIPART, sources.WORD_PICTURES, sources.STAMPS, *sources.ICONS, *ARTISTS.values()]
    return [*drawn, KEYWORDS, *sources.PHOTOGRAPHS]


def items(archives: Archives) -> Iterator[Item]:
    """Every drawing that renders and is not a sliver, in a fixed order."""
    for picture, words, weight in _pictures(archives):
        drawing = cut_out(picture)
        if drawing is not None:
            yield Item(drawing, _plain(words), weight)


def photographs(archives: Archives, longest: int = 800) -> list[Image.Image]:
    """The pictures behind the drawings, RGB, their longer side at most `longest` pixels."""
    found = []
    for package, folder in sources.PHOTOGRAPHS.items():
        for _, content in _files(archives[package], folder, (".jpg", ".png", ".webp")):
            photograph = Image.open(io.BytesIO(content)).convert("RGB")
            photograph.thumbnail((longest, longest))
            if min(photograph.size) >= 2 * SIDE:
                found.append(photograph)
    return found


def cut_out(picture: Image.Image) -> NDArray[np.uint8] | None:
    """The visible part of an RGBA picture, centred in a square; None if there is none or it is a sliver."""
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    if box is None:
        return None
    visible = picture.crop(box)
    if min(visible.size) * 8 < max(visible.size):
        return None
    scale = SIDE / max(visible.size)
    width, height = (max(1, round(side * scale)) for side in visible.size)
    square = Image.new("RGBA", (SIDE, SIDE))
    square.paste(visible.resize((width, height), Image.Resampling.LANCZOS), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(square)


def _pictures(archives: Archives) -> Iterator[tuple[Image.Image, str, float]]:
    yield from _clipart(archives[sources.CLIPART])
    yield from _word_pictures(archives[sources.WORD_PICTURES])
    yield from _emoji(archives)
    yield from _stamps(archives[sources.STAMPS])
    yield from _icons(archives)


def _clipart(archive: Path) -> Iterator[tuple[Image.Image, str, float]]:
    root = "usr/share/openclipart/svg/"
    for name, content in _files(archive, root, (".svg",)):
        svg = content.decode(errors="replace")
        picture = _render(svg) if len(svg) <= _LARGEST_SVG else None
        if picture is not None:
            words = _clipart_words(svg, PurePosixPath(name.removeprefix(root)))
            yield picture, words, 0.25 if any(sheet in words for sheet in _CLIPART_SHEETS) else 1.0


def _clipart_words(svg: str, path: PurePosixPath) -> str:
    metadata = "".join(re.findall(r"<metadata.*?</metadata>", svg, re.DOTALL)[:1])
    title = re.findall(r"<dc:title>([^<]*)</dc:title>", metadata)[:1]
    keywords = re.findall(r"<rdf:li>([^<]*)</rdf:li>", metadata)
    useful = [word for word in keywords if word.lower() not in _CLIPART_NOISE]
    folders = [] if "unsorted" in path.parts else path.parts[:-1]
    return _plain(" ".join([*title, *useful, *folders])) or _plain(path.stem)


def _word_pictures(archive: Path) -> Iterator[tuple[Image.Image, str, float]]:
    for name, content in _files(archive, "usr/share/games/pysiogame/res/images/art4apps/", (".png", ".jpg")):
        path = PurePosixPath(name)
        yield Image.open(io.BytesIO(content)).convert("RGBA"), f"{path.stem} {path.parent.name}", 1.0


def _emoji(archives: Archives) -> Iterator[tuple[Image.Image, str, float]]:
    by_code, by_slug = _emoji_words(archives)
    for package in ARTISTS.values():
        drawings = _json(archives[package], "icons.json")
        names = {name: plain_code(code) for code, name in _json(archives[package], "chars.json").items()}
        for name, drawing in drawings["icons"].items():
            words = by_code.get(names.get(name, "")) or by_slug.get(name)
            picture = _render(icon_svg(drawing, drawings, _RENDERED)) if words else None
            if words and picture:
                yield picture, words, 1.5


def _emoji_words(archives: Archives) -> tuple[dict[str, str], dict[str, str]]:
    """Name and keywords of the emoji outside the experiments' classes, by code point and by slug of the name."""
    subgroups = _json(archives[KEYWORDS], "meta/groups.json")["subgroups"]
    by_code, by_slug = {}, {}
    for entry in _json(archives[KEYWORDS], "en/data.json"):
        if subgroups.get(str(entry.get("subgroup"))) in sources.EMOJI_SUBGROUPS:
            words = " ".join([entry["label"], *entry.get("tags", [])])
            by_code[plain_code(entry["hexcode"])] = by_slug[slug(entry["label"])] = words
    for code, icon_name in _json(archives[ARTISTS["noto"]], "chars.json").items():
        if plain_code(code) in by_code:
            by_slug.setdefault(icon_name, by_code[plain_code(code)])
    return by_code, by_slug


def _stamps(archive: Path) -> Iterator[tuple[Image.Image, str, float]]:
    root = "usr/share/tuxpaint/stamps/"
    files = dict(_files(archive, root, (".png", ".svg", ".txt")))
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.suffix == ".txt":
            continue
        picture = _render(content.decode()) if path.suffix == ".svg" else Image.open(io.BytesIO(content))
        lines = files.get(str(path.with_suffix(".txt")), path.stem.encode()).decode(errors="replace").splitlines()
        if picture is not None:
            folders = PurePosixPath(name.removeprefix(root)).parts[:-1]
            yield picture.convert("RGBA"), " ".join([*lines[:1], *folders]), 2.0


def _icons(archives: Archives) -> Iterator[tuple[Image.Image, str, float]]:
    generator = random.Random(0)
    for package in sources.ICONS:
        drawings = _json(archives[package], "icons.json")
        sizes = package.name.endswith("fluent-color")  # the same icon in several sizes
        seen: set[str] = set()
        for full_name, drawing in drawings["icons"].items():
            name = _STYLE_WORDS.sub("", full_name)
            if sizes and name in seen:
                continue
            seen.add(name)
            tint = "#" + "".join(f"{generator.randrange(200):02x}" for _ in range(3))
            picture = _render(icon_svg(drawing, drawings, _RENDERED, tint))
            if picture is not None:
                yield picture, name, 0.7 if package.name.endswith("game-icons") else 1.0


def _render(svg: str) -> Image.Image | None:
    """The picture, or None where the SVG is not one that can be drawn, as some of the clip art."""
    try:
        png = resvg_py.svg_to_bytes(svg_string=svg, width=_RENDERED)
        return Image.open(io.BytesIO(png)).convert("RGBA")
    except (ValueError, UnidentifiedImageError):
        return None


def _files(archive: Path, folder: str, suffixes: tuple[str, ...]) -> list[tuple[str, bytes]]:
    return sorted(iter_members(archive, lambda name: name.startswith(folder) and name.endswith(suffixes)))


def _json(archive: Path, name: str) -> Any:
    member = f"package/{name}"
    return json.loads(read_members(archive, [member])[member])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("_", " ")))

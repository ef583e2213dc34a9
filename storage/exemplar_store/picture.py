"""Drawing masked exemplars: kept patches in their places, hatching where patches were dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from exemplar_store.exemplar import Exemplar
from exemplar_store.tokens import Tokens
from exemplar_store.vocabulary import Vocabulary, words

PAPER, INK, QUIET, RULE = "#ffffff", "#1b1f24", "#6b727b", "#dfe3e8"
HATCH_PAPER, HATCH_INK, FULL, FILL = "#f3f4f6", "#c6ccd4", "#e4e8ed", "#2f6fb0"


@dataclass(frozen=True)
class Label:
    """What is written beside an exemplar: its class's name, and its coded size in bytes."""

    class_name: str
    payload_bytes: int


@dataclass(frozen=True)
class ClassRow:
    """A class on the contact sheet: its name, a line about it, and the exemplars to draw, best rank first."""

    name: str
    note: str
    exemplars: Sequence[tuple[Exemplar, Label]]


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface: no system font is needed."""
    return ImageFont.load_default(size)


def image_tokens(exemplar: Exemplar) -> Tokens | None:
    """The exemplar's picture: uint8 patches (n, p, p, 3) on a grid of rows and columns."""
    for tokens in exemplar.tokens.values():
        if tokens.values.dtype == np.uint8 and tokens.values.ndim == 4 and len(tokens.grid) == 2:
            return tokens
    return None


def text_line(exemplar: Exemplar, vocabulary: Vocabulary | None) -> str:
    """The kept words of the exemplar's texts."""
    return " / ".join(
        words(tokens, vocabulary)
        for tokens in exemplar.tokens.values()
        if np.issubdtype(tokens.values.dtype, np.integer) and tokens.values.ndim == 1
    )


def hatching(width: int, height: int) -> Image.Image:
    """What stands for dropped patches: thin diagonal lines, width x height pixels."""
    image = Image.new("RGB", (width, height), HATCH_PAPER)
    draw = ImageDraw.Draw(image)
    for x in range(-height, width, 8):
        draw.line([(x, height), (x + height, 0)], fill=HATCH_INK)
    return image


def draw_tokens(tokens: Tokens, side: int) -> Image.Image:
    """A masked picture, each patch `side` pixels wide."""
    rows, columns = tokens.grid
    image = hatching(columns * side, rows * side)
    for patch, position in zip(tokens.values, tokens.positions.tolist(), strict=True):
        row, column = divmod(position, columns)
        image.paste(Image.fromarray(patch).resize((side, side), Image.Resampling.BICUBIC), (column * side, row * side))
    return image


def draw_exemplar(
    exemplar: Exemplar, label: Label, facts: Sequence[tuple[str, str]], vocabulary: Vocabulary | None
) -> Image.Image:
    """One exemplar, large, with its facts (name, value) beside it."""
    tokens = image_tokens(exemplar)
    picture = draw_tokens(tokens, max(8, 432 // max(tokens.grid))) if tokens else hatching(432, 96)
    text = text_line(exemplar, vocabulary)
    margin, column = 28, 380
    lines = 24 * len(facts) + 90 + 22 * len(_wrapped(text, 14, column))
    sheet = Image.new("RGB", (picture.width + column + 3 * margin, max(picture.height, lines) + 2 * margin), PAPER)
    sheet.paste(picture, (margin, margin))
    draw, x, y = ImageDraw.Draw(sheet), picture.width + 2 * margin, margin
    draw.text((x, y), label.class_name, INK, font(26))
    y += 50
    for name, value in facts:
        draw.text((x, y), name, QUIET, font(14))
        draw.text((x + 130, y), value, INK, font(14))
        y += 24
    for line in _wrapped(text, 14, column):
        draw.text((x, y + 10), line, INK, font(14))
        y += 22
    return sheet


@dataclass(frozen=True)
class Sheet:
    """Measures of a contact sheet, in pixels.

    Attributes:
        picture: width of a drawn exemplar.
        per_class: exemplars drawn of a class.
        across: classes side by side.
    """

    picture: int
    per_class: int
    across: int

    NAME, CAPTION, GAP, MARGIN, HEADER = 132, 40, 12, 32, 104

    @property
    def cell(self) -> int:
        return self.picture + self.GAP

    @property
    def row_height(self) -> int:
        return self.picture + self.CAPTION + 2 * self.GAP

    @property
    def block(self) -> int:
        """Width of one class."""
        return self.NAME + self.per_class * self.cell + 2 * self.GAP

    def size(self, classes: int) -> tuple[int, int]:
        return (
            2 * self.MARGIN + self.across * self.block,
            2 * self.MARGIN + self.HEADER + math.ceil(classes / self.across) * self.row_height,
        )


def draw_sheet(
    rows: Sequence[ClassRow], title: str, subtitle: str, used: float, vocabulary: Vocabulary | None
) -> Image.Image:
    """A contact sheet: a row per class, exemplars by rank, a bar for the share `used` of the budget."""
    sheet = _fitting_sheet(rows)
    image = Image.new("RGB", sheet.size(len(rows)), PAPER)
    draw = ImageDraw.Draw(image)
    _draw_header(draw, sheet, image.width, title, subtitle, used)
    per_column = math.ceil(len(rows) / sheet.across) or 1
    for number, row in enumerate(rows):
        column, line = divmod(number, per_column)
        x = sheet.MARGIN + column * sheet.block
        y = sheet.MARGIN + sheet.HEADER + line * sheet.row_height
        draw.line([(x, y), (x + sheet.block - 2 * sheet.GAP, y)], fill=RULE)
        _draw_row(image, sheet, row, x, y + sheet.GAP, vocabulary)
    return image


def _fitting_sheet(rows: Sequence[ClassRow]) -> Sheet:
    """As many classes side by side as bring the sheet nearest to 4:3."""
    grids = [tokens.grid for row in rows for one, _ in row.exemplars if (tokens := image_tokens(one))]
    columns = max((grid[1] for grid in grids), default=6)
    picture = columns * max(2, 132 // columns)
    most = max((len(row.exemplars) for row in rows), default=1)
    choices = [Sheet(picture, most, across) for across in range(1, 7)]
    return min(choices, key=lambda sheet: abs(math.log(sheet.size(len(rows))[0] / sheet.size(len(rows))[1] / (4 / 3))))


def _draw_header(draw: ImageDraw.ImageDraw, sheet: Sheet, width: int, title: str, subtitle: str, used: float) -> None:
    x, y, right = sheet.MARGIN, sheet.MARGIN, width - sheet.MARGIN - 2 * sheet.GAP
    draw.text((x, y), title, INK, font(26))
    for number, line in enumerate(_wrapped(subtitle, 14, right - x)[:2]):
        draw.text((x, y + 40 + 18 * number), line, QUIET, font(14))
    draw.rectangle((x, y + 80, right, y + 86), fill=FULL)
    draw.rectangle((x, y + 80, x + int((right - x) * used), y + 86), fill=FILL)


def _draw_row(image: Image.Image, sheet: Sheet, row: ClassRow, x: int, y: int, vocabulary: Vocabulary | None) -> None:
    draw = ImageDraw.Draw(image)
    name = _wrapped(row.name, 15, sheet.NAME - sheet.GAP)[:4]
    for number, line in enumerate(name):
        draw.text((x, y + 19 * number), line, INK, font(15))
    for number, line in enumerate(row.note.splitlines()):
        draw.text((x, y + 19 * len(name) + 4 + 16 * number), line, QUIET, font(12))
    for place, (exemplar, label) in enumerate(row.exemplars):
        left = x + sheet.NAME + place * sheet.cell
        tokens = image_tokens(exemplar)
        picture = draw_tokens(tokens, sheet.picture // tokens.grid[1]) if tokens else hatching(sheet.picture, 32)
        image.paste(picture, (left, y))
        kept = f"{len(tokens)}/{math.prod(tokens.grid)}" if tokens else "no picture"
        draw.text((left, y + sheet.picture + 5), f"{label.payload_bytes:,} B · {kept}", INK, font(12))
        text = _wrapped(text_line(exemplar, vocabulary), 12, sheet.picture)
        draw.text((left, y + sheet.picture + 21), _shortened(text), QUIET, font(12))


def _shortened(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return lines[0] if len(lines) == 1 else lines[0][:-1].rstrip() + "…"


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken at blanks and hyphens."""
    lines: list[str] = []
    for word in text.replace("-", "- ").split():
        joint = "" if lines and lines[-1].endswith("-") else " "
        if lines and font(size).getlength(lines[-1] + joint + word) <= width:
            lines[-1] += joint + word
        else:
            lines.append(word)
    return lines

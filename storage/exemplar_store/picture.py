"""The two sheets that `exemplar-store show` draws: one exemplar with its facts, and many of them class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from exemplar_store.exemplar import Exemplar
from exemplar_store.forms import TEXT, draw_form, form_of
from exemplar_store.style import FILL, FULL, INK, PAPER, QUIET, RULE, font, wrapped
from exemplar_store.tokens import Tokens
from exemplar_store.vocabulary import Piece, Words

LARGE = 432  # pixels: a modality of a single exemplar
MAX_BAR = 4  # dropped tokens in a row that are drawn apart; longer runs look the same
CLOSING = tuple(",.;:!?)]}'%")  # stand next to the word before them


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


def visible(exemplar: Exemplar) -> dict[str, Tokens]:
    """The modalities that are drawn, by name: all but texts."""
    return {name: tokens for name, tokens in exemplar.tokens.items() if form_of(tokens) != TEXT}


def text_of(exemplar: Exemplar, words: Words) -> list[Piece]:
    """The words and gaps of all its texts."""
    texts = [tokens for tokens in exemplar.tokens.values() if form_of(tokens) == TEXT]
    return [piece for tokens in texts for piece in words.pieces(tokens, exemplar.sample_id)]


def draw_text(
    draw: ImageDraw.ImageDraw, x: int, y: int, text: Sequence[Piece], size: int, width: int, lines: int, ink: str
) -> None:
    """Words in lines of at most `width` pixels, … where `lines` are full.

    What was dropped is struck through: its words, or a bar for each token where the words are not known.
    """
    left, line = float(x), 0
    room = x + width - font(size).getlength("…")
    for piece in text:
        left += 0 if left == x or piece.goes_on or piece.word.startswith(CLOSING) else size / 4
        length = font(size).getlength(piece.word) if piece.word else 1.2 * size * min(piece.dropped, MAX_BAR)
        if left > x and left + length > (room if line == lines - 1 else x + width):
            left, line = (left, line) if line == lines - 1 else (float(x), line + 1)
            if left > x:
                draw.text((left, y + 1.5 * size * line), "…", ink, font(size))
                return
        top = y + 1.5 * size * line
        draw.text((left, top), piece.word, QUIET if piece.dropped else ink, font(size))
        if piece.dropped:
            _strike_through(draw, left, top, length, size, piece)
        left += length


def _strike_through(draw: ImageDraw.ImageDraw, x: float, y: float, length: float, size: int, piece: Piece) -> None:
    unit = 1.2 * size
    for token in range(0 if piece.word else min(piece.dropped, MAX_BAR)):
        draw.rectangle((x + token * unit, y + 0.3 * size, x + (token + 1) * unit - 3, y + size), fill=FULL)
    draw.line((x - 1, y + 0.65 * size, x + length, y + 0.65 * size), fill=QUIET)


def draw_exemplar(exemplar: Exemplar, label: Label, facts: Sequence[tuple[str, str]], words: Words) -> Image.Image:
    """One exemplar, large, all modalities under each other, with its facts (name, value) beside it."""
    margin, column, named = 28, 380, 130
    drawn = {name: draw_form(tokens, *_single_size(tokens)) for name, tokens in visible(exemplar).items()}
    text = text_of(exemplar, words)
    if drawn:
        left = _side_by_side(drawn, margin)
    else:
        left, text = _card(text, LARGE, LARGE // 2, 18), []
    values = [wrapped(value, 14, column - named) for _, value in facts]
    lines = 2 + sum(10 + len(piece.word) for piece in text) // 40
    height = max(left.height, 74 + sum(18 * len(value) + 6 for value in values) + 21 * lines)
    sheet = Image.new("RGB", (left.width + column + 3 * margin, height + 2 * margin), PAPER)
    draw, x, y = ImageDraw.Draw(sheet), left.width + 2 * margin, margin
    sheet.paste(left, (margin, margin))
    draw.text((x, y), label.class_name, INK, font(26))
    y += 50
    for (name, _), value in zip(facts, values, strict=True):
        draw.text((x, y), name, QUIET, font(14))
        for number, line in enumerate(value):
            draw.text((x + named, y + 18 * number), line, INK, font(14))
        y += 18 * len(value) + 6
    draw_text(draw, x, y + 10, text, 14, column, lines, INK)
    return sheet


def _side_by_side(drawn: dict[str, Image.Image], margin: int) -> Image.Image:
    """Drawings with their names, in two columns if there are more than two; one alone needs no name."""
    if len(drawn) == 1:
        return next(iter(drawn.values()))
    across, caption = (2 if len(drawn) > 2 else 1), 22
    names, cell = list(drawn), max(image.width for image in drawn.values()) + margin
    rows = [names[first : first + across] for first in range(0, len(names), across)]
    heights = [caption + max(drawn[name].height for name in row) + margin for row in rows]
    image = Image.new("RGB", (across * cell - margin, sum(heights) - margin), PAPER)
    for number, row in enumerate(rows):
        for column, name in enumerate(row):
            x, y = column * cell, sum(heights[:number])
            ImageDraw.Draw(image).text((x, y), name, QUIET, font(14))
            image.paste(drawn[name], (x, y + caption))
    return image


def _card(text: Sequence[Piece], width: int, height: int, size: int) -> Image.Image:
    """A text where there is nothing else to draw."""
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width - 1, height - 1), outline=RULE)
    lines = max(1, int((height - size) / (1.5 * size)))
    draw_text(draw, size // 2, size // 2, text, size, width - size, lines, INK)
    return image


def _single_size(tokens: Tokens) -> tuple[int, int]:
    """Width and height that a modality of a single exemplar may take."""
    return {"video": (2 * LARGE, LARGE), "sound": (LARGE, LARGE // 2), "features": (LARGE, LARGE // 4)}.get(
        form_of(tokens), (LARGE, LARGE)
    )


@dataclass(frozen=True)
class Sheet:
    """Measures of a contact sheet, in pixels.

    Attributes:
        picture: width of a drawn exemplar.
        columns: the classes that stand below each other, column by column.
    """

    picture: int
    columns: Sequence[Sequence[ClassRow]]

    NAME, CAPTION, GAP, MARGIN, HEADER, LEAST_WIDTH = 132, 40, 12, 32, 104, 640

    @property
    def cell(self) -> int:
        return self.picture + self.GAP

    @property
    def row_height(self) -> int:
        return self.picture + self.CAPTION + 2 * self.GAP

    def width(self, column: Sequence[ClassRow]) -> int:
        return self.NAME + max(len(row.exemplars) for row in column) * self.cell + 2 * self.GAP

    @property
    def size(self) -> tuple[int, int]:
        width = 2 * self.MARGIN + sum(map(self.width, self.columns))
        lines = max(map(len, self.columns), default=0)
        return max(width, self.LEAST_WIDTH), 2 * self.MARGIN + self.HEADER + lines * self.row_height


def draw_sheet(rows: Sequence[ClassRow], title: str, subtitle: str, used: float, words: Words) -> Image.Image:
    """A contact sheet: a row per class, exemplars by rank, a bar for the share `used` of the budget."""
    sheet = _fitting_sheet(rows)
    image = Image.new("RGB", sheet.size, PAPER)
    draw = ImageDraw.Draw(image)
    _draw_header(draw, sheet, image.width, title, subtitle, used)
    x = sheet.MARGIN
    for column in sheet.columns:
        for line, row in enumerate(column):
            y = sheet.MARGIN + sheet.HEADER + line * sheet.row_height
            draw.line([(x, y), (x + sheet.width(column) - 2 * sheet.GAP, y)], fill=RULE)
            _draw_row(image, sheet, row, x, y + sheet.GAP, words)
        x += sheet.width(column)
    return image


def _fitting_sheet(rows: Sequence[ClassRow]) -> Sheet:
    """As many columns of classes as bring the sheet nearest to 4:3; patches get a whole number of pixels."""
    drawn = [tokens for row in rows for one, _ in row.exemplars for tokens in visible(one).values()]
    patches = max((tokens.grid[1] for tokens in drawn if form_of(tokens) in ("picture", "depth")), default=6)
    picture = patches * max(2, 132 // patches) if patches <= LARGE else LARGE
    choices = []
    for across in range(1, 9):
        length = math.ceil(len(rows) / across) or 1
        choices.append(Sheet(picture, [rows[first : first + length] for first in range(0, len(rows), length)]))
    return min(choices, key=lambda sheet: abs(math.log(sheet.size[0] / sheet.size[1] / (4 / 3))))


def _draw_header(draw: ImageDraw.ImageDraw, sheet: Sheet, width: int, title: str, subtitle: str, used: float) -> None:
    x, y, right = sheet.MARGIN, sheet.MARGIN, width - sheet.MARGIN - 2 * sheet.GAP
    draw.text((x, y), title, INK, font(26))
    for number, line in enumerate(wrapped(subtitle, 14, right - x)[:2]):
        draw.text((x, y + 40 + 18 * number), line, QUIET, font(14))
    draw.rectangle((x, y + 80, right, y + 86), fill=FULL)
    draw.rectangle((x, y + 80, x + int((right - x) * used), y + 86), fill=FILL)


def _draw_row(image: Image.Image, sheet: Sheet, row: ClassRow, x: int, y: int, words: Words) -> None:
    draw = ImageDraw.Draw(image)
    name = wrapped(row.name, 15, sheet.NAME - sheet.GAP)[:4]
    for number, line in enumerate(name):
        draw.text((x, y + 19 * number), line, INK, font(15))
    for number, line in enumerate(row.note.splitlines()):
        draw.text((x, y + 19 * len(name) + 4 + 16 * number), line, QUIET, font(12))
    for place, (exemplar, label) in enumerate(row.exemplars):
        left, bottom = x + sheet.NAME + place * sheet.cell, y + sheet.picture
        drawn, text = visible(exemplar), text_of(exemplar, words)
        cell = _draw_cell(drawn, sheet.picture) if drawn else _card(text, sheet.picture, sheet.picture, 12)
        image.paste(cell, (left, y))
        caption = [Piece(f"{label.payload_bytes:,} B"), *_kept(drawn or exemplar.tokens)]
        draw_text(draw, left, bottom + 5, caption, 12, sheet.picture, 1, INK)
        if drawn:
            draw_text(draw, left, bottom + 21, text, 12, sheet.picture, 1, QUIET)


def _kept(drawn: dict[str, Tokens]) -> list[Piece]:
    if len(drawn) > 1:
        return [Piece(f"· {len(drawn)} senses")]
    return [Piece(f"· {len(tokens)}/{math.prod(tokens.grid)}") for tokens in drawn.values()]


def _draw_cell(drawn: dict[str, Tokens], side: int) -> Image.Image:
    """Modalities in a square: one, or up to four side by side and below."""
    cell = Image.new("RGB", (side, side), PAPER)
    tile = side if len(drawn) == 1 else (side - 2) // 2
    for number, tokens in enumerate(list(drawn.values())[:4]):
        line, column = divmod(number, 2)
        image = draw_form(tokens, tile, tile)
        cell.paste(image, (column * (tile + 2), line * (tile + 2) + (tile - image.height) // 2))
    return cell

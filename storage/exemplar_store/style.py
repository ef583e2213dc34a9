"""What all drawings share: colours, the typeface, hatching, and scales from numbers to colours."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, QUIET, RULE = "#ffffff", "#1b1f24", "#6b727b", "#dfe3e8"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
HATCH_PAPER, HATCH_INK, FULL, FILL = "#f3f4f6", "#c6ccd4", "#e4e8ed", "#2f6fb0"

# Anchors of matplotlib's perceptually uniform maps, and of a diverging one around 0.
VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
MAGMA = ("#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf")
BLUE_RED = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface: no system font is needed."""
    return ImageFont.load_default(size)


def hatching(width: int, height: int) -> Image.Image:
    """What stands for dropped tokens: thin diagonal lines, width x height pixels."""
    image = Image.new("RGB", (width, height), HATCH_PAPER)
    draw = ImageDraw.Draw(image)
    for x in range(-height, width, 8):
        draw.line([(x, height), (x + height, 0)], fill=HATCH_INK)
    return image


def coloured(values: NDArray[np.floating], low: float, high: float, anchors: tuple[str, ...]) -> NDArray[np.uint8]:
    """Numbers (...) as colours, uint8 (..., 3): ``low`` has the first anchor's colour, ``high`` the last one's."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    stops = np.linspace(0, 1, len(anchors))
    colours = np.array([list(bytes.fromhex(anchor[1:])) for anchor in anchors])
    return np.stack([np.interp(share, stops, colours[:, channel]) for channel in range(3)], -1).astype(np.uint8)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken at blanks (not at no-break spaces) and hyphens."""
    lines: list[str] = []
    for word in re.split(r"[ \n]+", text.replace("-", "- ").strip()):
        joint = "" if lines and lines[-1].endswith("-") else " "
        word = word.replace(NO_BREAK_SPACE, " ")  # which the typeface lacks
        if lines and font(size).getlength(lines[-1] + joint + word) <= width:
            lines[-1] += joint + word
        else:
            lines.append(word)
    return lines

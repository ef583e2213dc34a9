"""Drawing the kept tokens of one modality in their places, whatever they are: FORMAT.md section 5.2 lists the forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from exemplar_store.style import BLUE_RED, MAGMA, PAPER, RULE, VIRIDIS, coloured, hatching
from exemplar_store.tokens import Tokens

TEXT = "text"
FRAMES_ACROSS = 4  # of a large video
MAX_FRAMES = 64
GAP = 3  # pixels between frames


def form_of(tokens: Tokens) -> str:
    """``text``, or the name of the form that `draw_form` draws the tokens in, by dtype, token shape and grid."""
    dtype, shape, sides = tokens.values.dtype, tokens.values.shape[1:], len(tokens.grid)
    if dtype == np.int32 and shape == () and sides == 1:
        return TEXT
    if dtype == np.uint8 and shape[-1:] == (3,) and (len(shape), sides) in ((3, 2), (4, 3)):
        return "picture" if sides == 2 else "video"
    if dtype == np.uint16 and (len(shape), sides) == (2, 2):
        return "depth"
    if dtype.kind == "f" and (len(shape), sides) == (2, 2):
        return "sound"
    if dtype.kind == "f" and shape[1:] == (3,) and sides == 1:
        return "points"
    return "features"


def draw_form(tokens: Tokens, width: int, height: int) -> Image.Image:
    """The tokens of any form but text, in at most width x height pixels; dropped ones are hatched."""
    return _DRAWINGS[form_of(tokens)](tokens, width, height)


def _picture(tokens: Tokens, width: int, height: int) -> Image.Image:
    return _patches(tokens.values, tokens, _square(tokens.grid, width, height))


def _video(tokens: Tokens, width: int, height: int) -> Image.Image:
    """Frame after frame, in a strip that is broken into lines; of a long video some, evenly spaced."""
    times, rows, columns = tokens.grid
    frames = min(times * tokens.values.shape[1], MAX_FRAMES)
    numbers = np.linspace(0, times * tokens.values.shape[1] - 1, frames).astype(int).tolist()
    across = min(frames, math.ceil(math.sqrt(frames)) if height >= width else FRAMES_ACROSS)
    lines = math.ceil(frames / across)
    still_width, still_height = (width + GAP) // across - GAP, (height + GAP) // lines - GAP
    size = _whole((rows, columns), still_width, still_height)
    sheet = Image.new("RGB", (across * (size[0] + GAP) - GAP, lines * (size[1] + GAP) - GAP), PAPER)
    for place, number in enumerate(numbers):
        time, within = divmod(number, tokens.values.shape[1])
        shown = tokens.positions // (rows * columns) == time
        still = Tokens(tokens.values[shown, within], tokens.positions[shown] % (rows * columns), (rows, columns))
        line, column = divmod(place, across)
        sheet.paste(_patches(still.values, still, size), (column * (size[0] + GAP), line * (size[1] + GAP)))
    return sheet


def _depth(tokens: Tokens, width: int, height: int) -> Image.Image:
    """Near is dark, far is bright; 0, no measurement, has the darkest colour."""
    low, high = _range(tokens.values[tokens.values > 0])
    colours = coloured(tokens.values.astype(np.float32), low, high, VIRIDIS)
    return _patches(colours, tokens, _square(tokens.grid, width, height))


def _sound(tokens: Tokens, width: int, height: int) -> Image.Image:
    """A log-mel spectrogram: time runs to the right, frequency upwards."""
    colours = coloured(tokens.values.astype(np.float32), *_range(tokens.values), MAGMA)[:, ::-1]
    return _patches(colours, tokens, (width, min(height, width // 2)), bottom_up=True)


def _points(tokens: Tokens, width: int, height: int) -> Image.Image:
    """Scatter seen from above at an angle, near points dark; the places of dropped groups are not known."""
    side = min(width, height)
    image = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, side - 1, side - 1), outline=RULE)
    groups = tokens.values.astype(np.float64)
    points = (groups[:, :1] + groups[:, 1:]).reshape(-1, 3)
    if not len(points):
        return hatching(side, side)
    right, up, far = _seen(points)
    span = max(np.ptp(right), np.ptp(up), 1e-9) / (0.84 * side)
    xs = side / 2 + (right - (right.max() + right.min()) / 2) / span
    ys = side / 2 - (up - (up.max() + up.min()) / 2) / span
    radius = max(0.8, side / 200)
    for place in np.argsort(-far):
        colour = tuple(coloured(far[place], far.min(), far.max(), VIRIDIS[:-1]).tolist())
        x, y = xs[place], ys[place]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


def _features(tokens: Tokens, width: int, height: int) -> Image.Image:
    """A column of colours per token, first channel on top; blue is negative, red positive."""
    total = math.prod(tokens.grid)
    values = tokens.values.reshape(len(tokens), math.prod(tokens.values.shape[1:])).astype(np.float32)
    image = hatching(width, min(height, width))
    largest = float(np.abs(values).max(initial=0)) or 1.0
    for vector, position in zip(values, tokens.positions.tolist(), strict=True):
        left, right = position * width // total, max((position + 1) * width // total, position * width // total + 1)
        column = Image.fromarray(coloured(vector[:, None], -largest, largest, BLUE_RED))
        image.paste(column.resize((right - left, image.height), Image.Resampling.BOX), (left, 0))
    return image


def _patches(colours: NDArray[np.uint8], tokens: Tokens, size: tuple[int, int], bottom_up: bool = False) -> Image.Image:
    """Patches (n, h, w, 3) in their places on a grid of rows and columns, ``size`` (width, height) pixels together."""
    rows, columns = tokens.grid
    image = hatching(*size)
    for patch, position in zip(colours, tokens.positions.tolist(), strict=True):
        row, column = divmod(position, columns)
        row = rows - 1 - row if bottom_up else row
        left, right = column * size[0] // columns, (column + 1) * size[0] // columns
        top, bottom = row * size[1] // rows, (row + 1) * size[1] // rows
        cell = (max(1, right - left), max(1, bottom - top))
        image.paste(Image.fromarray(patch).resize(cell, Image.Resampling.BICUBIC), (left, top))
    return image


def _whole(grid: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The largest size (width, height) that fits and has the grid's shape."""
    rows, columns = max(1, grid[0]), max(1, grid[1])
    scale = min(width / columns, height / rows)
    return max(1, int(columns * scale)), max(1, int(rows * scale))


def _square(grid: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """The largest size (width, height) that fits and has the same whole number of pixels for every square patch."""
    rows, columns = grid
    side = max(1, min(width // max(1, columns), height // max(1, rows)))
    return min(columns * side, width), min(rows * side, height)  # a file may claim more places than there are pixels


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    """All but the outermost hundredth on either side."""
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values.astype(np.float32), (1, 99))
    return float(low), float(high)


def _seen(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Right, up and far of points (n, 3), z up, seen from 30 degrees to the side and 20 above."""
    side, above = np.radians(30), np.radians(20)
    x, y, z = points.T
    right, ahead = x * np.cos(side) - y * np.sin(side), x * np.sin(side) + y * np.cos(side)
    return right, z * np.cos(above) + ahead * np.sin(above), ahead * np.cos(above) - z * np.sin(above)


_DRAWINGS: dict[str, Callable[[Tokens, int, int], Image.Image]] = {
    "picture": _picture,
    "video": _video,
    "depth": _depth,
    "sound": _sound,
    "points": _points,
    "features": _features,
}

"""Training pictures: an object at a random place and size on white, a plain colour or a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.tokens import Tokens

SIDE, PATCH = 96, 16
_GRID = (SIDE // PATCH, SIDE // PATCH)
# Share of the pictures on a photograph and on a plain colour; the rest is on white.
_PHOTO, _COLOUR = 0.55, 0.1
_SMALLEST, _ON_PHOTO, _ON_WHITE = 0.35, 0.85, 1.0
# Share of the pictures that lose patches: at random, or those without object first, as an attention mask would.
_DROP_ANY, _DROP_BACKGROUND = 0.25, 0.25


@dataclass(frozen=True, eq=False)
class Picture:
    """A composed picture: uint8 (96, 96, 3), and bool (96, 96), true where the object is."""

    pixels: NDArray[np.uint8]
    object: NDArray[np.bool_]


def compose(drawing: NDArray[np.uint8], photographs: Sequence[Image.Image], rng: np.random.Generator) -> Picture:
    """One random scene with the object of `drawing`, uint8 RGBA (96, 96, 4)."""
    background, largest = _background(photographs, rng)
    size = int(SIDE * rng.uniform(_SMALLEST if rng.random() < 0.8 else largest * 0.9, largest))
    height, width = size, min(SIDE, int(size * rng.uniform(0.9, 1.1)))
    thing = _jitter(Image.fromarray(drawing).resize((width, height), Image.Resampling.BILINEAR), rng)
    if rng.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    corner = (int(rng.integers(SIDE - width + 1)), int(rng.integers(SIDE - height + 1)))
    background.paste(thing, corner, mask=thing)
    outline = Image.new("L", (SIDE, SIDE))
    outline.paste(thing.getchannel("A"), corner)
    return Picture(np.array(background), np.asarray(outline) > 127)


def patches(picture: Picture, rng: np.random.Generator) -> Tokens:
    """The picture's patches, uint8 (n, 16, 16, 3); half of the pictures lose some at random."""
    cells = picture.pixels.reshape(_GRID[0], PATCH, _GRID[1], PATCH, 3).swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3)
    tokens = Tokens.full(cells, _GRID)
    draw, count = rng.random(), int(rng.integers(len(cells) // 4, len(cells)))
    if draw >= _DROP_ANY + _DROP_BACKGROUND:
        return tokens
    rank = rng.random(len(cells))
    if draw < _DROP_BACKGROUND:
        rank -= picture.object.reshape(_GRID[0], PATCH, _GRID[1], PATCH).mean((1, 3)).ravel() > 0.1
    return tokens.take(np.sort(np.argsort(rank)[:count]))


def _background(photographs: Sequence[Image.Image], rng: np.random.Generator) -> tuple[Image.Image, float]:
    draw = rng.random()
    if draw < _PHOTO:
        return _crop(photographs[int(rng.integers(len(photographs)))], rng), _ON_PHOTO
    colour = tuple(rng.integers(256, size=3).tolist()) if draw < _PHOTO + _COLOUR else (255, 255, 255)
    return Image.new("RGB", (SIDE, SIDE), colour), _ON_WHITE


def _crop(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    # Log-uniform, so that small crops with coarse detail come as often as wide ones.
    extent = int(np.exp(rng.uniform(np.log(SIDE), np.log(min(photograph.size)))))
    left, top = (int(rng.integers(side - extent + 1)) for side in photograph.size)
    box = (left, top, left + extent, top + extent)
    crop = photograph.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box, reducing_gap=1)
    crop = crop.transpose(Image.Transpose(int(rng.integers(7))))
    channels = np.asarray(crop)[..., rng.permutation(3)] if rng.random() < 0.3 else np.asarray(crop)
    return Image.fromarray(np.ascontiguousarray(channels))


def _jitter(drawing: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(drawing).astype(np.float32)
    gain, offset = rng.uniform(0.8, 1.2, 3), rng.uniform(-20, 20)
    pixels[..., :3] = pixels[..., :3] * gain + offset
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

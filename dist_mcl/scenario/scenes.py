"""Scenes: one object on a plain or a photographed background, with its outline as ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Side of the object as a share of the picture's. At 96 px and 16 px patches it then touches about 10 of 36 patches.
SMALLEST, LARGEST = 0.40, 0.75
# Keeps the random numbers for scenes apart from those for texts (`texts.STREAM`) of the same seed and sample.
STREAM = 0


@dataclass(frozen=True, eq=False)
class Scene:
    """A composed picture.

    Attributes:
        picture: uint8 (side, side, 3).
        mask: bool (side, side), true where the object covers more than half of the pixel.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def plain_scene(drawing: Image.Image) -> Scene:
    """The object in full size on white.

    Args:
        drawing: square RGBA picture; its side is the scene's.
    """
    return _paste(drawing, Image.new("RGB", drawing.size, "white"), (0, 0))


def photo_scene(drawing: Image.Image, photographs: Sequence[Image.Image], seed: int, sample_id: int) -> Scene:
    """The object at a random place and size on a random crop of a random photograph.

    Everything random comes from `seed` and `sample_id`: the same arguments give the same pixels, in any order and on
    any process.

    Args:
        drawing: square RGBA picture; its side is the scene's.
        photographs: RGB pictures at least as large as the scene.
    """
    random = np.random.default_rng([seed, sample_id, STREAM])
    side = drawing.width
    background = _crop(photographs[random.integers(len(photographs))], side, random)
    size = int(random.integers(round(SMALLEST * side), round(LARGEST * side) + 1))
    left, top = random.integers(side - size + 1, size=2).tolist()
    return _paste(drawing.resize((size, size), Image.Resampling.LANCZOS), background, (left, top))


def _crop(photograph: Image.Image, side: int, random: np.random.Generator) -> Image.Image:
    extent = int(random.integers(side, min(photograph.size) + 1))
    left = int(random.integers(photograph.width - extent + 1))
    top = int(random.integers(photograph.height - extent + 1))
    box = (left, top, left + extent, top + extent)
    return photograph.resize((side, side), Image.Resampling.BILINEAR, box=box)


def _paste(drawing: Image.Image, background: Image.Image, corner: tuple[int, int]) -> Scene:
    background.paste(drawing, corner, mask=drawing)
    alpha = Image.new("L", background.size)
    alpha.paste(drawing.getchannel("A"), corner)
    return Scene(np.array(background), np.asarray(alpha) > 127)

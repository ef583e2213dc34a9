"""Exemplars that hold pixels at a lower resolution, and what replay sees of them."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.image import patchify, resize, unpatchify
from dist_mcl.tokens import Sample, Tokens

SURROUND = "surround"  # the modality that holds what lies around a box of full resolution
_UNKNOWN = 128  # grey where the surround holds no pixels; the box covers it


def shrunk(image: Tokens, factor: int) -> Tokens:
    """A whole picture with its sides divided by `factor`, rounded up to whole patches.

    Raises:
        ValueError: the picture lacks patches.
    """
    if image.keep_ratio < 1:
        raise ValueError("a picture that lacks patches cannot be shrunk; mask it with another masker")
    patch = image.values.shape[1]
    rows, columns = (-(-side // factor) for side in image.grid)
    return patchify(resize(unpatchify(image), rows * patch, columns * patch), patch)


def surround(image: Tokens, box: NDArray[np.bool_], factor: int) -> Tokens:
    """The shrunk picture without the patches that show nothing but what lies in the box.

    Args:
        box: bool (n,), the patches of the whole picture that stay as they are.

    Raises:
        ValueError: the picture lacks patches.
    """
    small = shrunk(image, factor)
    inside, outside = box.reshape(image.grid), np.zeros(small.grid, dtype=np.bool_)
    for row, column in np.ndindex(*small.grid):
        outside[row, column] = not inside[_under(row, 0, image, small), _under(column, 1, image, small)].all()
    return small.take(outside.ravel())


def _under(index: int, axis: int, image: Tokens, small: Tokens) -> slice:
    large, little = image.grid[axis], small.grid[axis]
    return slice(index * large // little, -(-(index + 1) * large // little))


def replay_form(exemplar: Sample, source: tuple[int, int], dropped: Literal["absent", "black"]) -> Sample:
    """What a model sees of a stored exemplar: everything at the resolution that it had.

    Args:
        exemplar: as it is stored.
        source: height and width in pixels of the picture that it was made from; (0, 0) if that is not known.
        dropped: "black" gives dropped patches back as black ones.
    """
    tokens = dict(exemplar.tokens)
    around = tokens.pop(SURROUND, None)
    if "image" not in tokens:
        return exemplar
    image = tokens["image"]
    patch = image.values.shape[1]
    if around is not None:
        image = _laid_over(resize(unpatchify(around, _UNKNOWN), *source), image)
    elif source not in ((image.grid[0] * patch, image.grid[1] * patch), (0, 0)):
        image = patchify(resize(unpatchify(image), *source), patch)
    tokens["image"] = patchify(unpatchify(image, fill=0), patch) if dropped == "black" else image
    return dataclasses.replace(exemplar, tokens=tokens)


def _laid_over(picture: NDArray[np.uint8], box: Tokens) -> Tokens:
    whole = patchify(picture, box.values.shape[1])
    values = whole.values.copy()
    values[box.positions] = box.values
    return Tokens.full(values, whole.grid)

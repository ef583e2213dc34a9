"""Pictures as square patches of uint8 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.modalities.media import PICTURE_ERRORS, decoding
from dist_mcl.tokens import Tokens

PATCH = 16
# ViLT's longest side over its shortest, arXiv 2102.03334 section 4.1; the pictures of COCO are hardly longer.
_LONGEST = 1333 / 800


@dataclass(frozen=True)
class SquarePatches:
    """Tokenizer of backbones with a fixed square grid.

    A picture of another size is scaled to the square as a whole: its sides' ratio changes, and nothing is cut off.

    Attributes:
        side: of the square in pixels, a multiple of `patch`.
        patch: side of a patch in pixels.
    """

    side: int
    patch: int = PATCH

    def read(self, file: BinaryIO) -> NDArray[np.uint8]:
        """A picture of any format that Pillow knows, as uint8 (H, W, 3). Raises MediaError."""
        with decoding("picture", *PICTURE_ERRORS), Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))

    def encode(self, picture: NDArray[np.uint8]) -> Tokens:
        """Patches of a uint8 (H, W, 3) picture on the grid (side // patch, side // patch). Raises as `patchify`."""
        return patchify(resize(picture, self.side, self.side), self.patch)

    def decode(self, tokens: Tokens) -> NDArray[np.uint8]:
        """The picture, uint8 (side, side, 3); white where there is no patch."""
        return unpatchify(tokens)


@dataclass(frozen=True)
class ShortSidePatches:
    """Tokenizer of ViLT: the shorter side gets one length in all pictures, and the picture keeps its shape.

    The longer side is at most 1333 / 800 of the shorter one's length; both lose what is left over from whole patches.

    Attributes:
        side: of the shorter side, in pixels.
        patch: side of a patch in pixels.
    """

    side: int
    patch: int

    def encode(self, picture: NDArray[np.uint8]) -> Tokens:
        """All patches of a uint8 (H, W, 3) picture. Raises as `patchify`."""
        return patchify(resize(picture, *self.size(*picture.shape[:2])), self.patch)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that a picture is scaled to; at least one patch each."""
        scale = min(self.side / min(height, width), int(_LONGEST * self.side) / max(height, width))
        rows, columns = (int(scale * length + 0.5) // self.patch for length in (height, width))
        return max(rows, 1) * self.patch, max(columns, 1) * self.patch


def resize(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A uint8 (H, W, 3) picture in another size, bicubic; the same one where the size is right already."""
    _check_picture(picture)
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def patchify(picture: NDArray[np.uint8], patch: int = PATCH) -> Tokens:
    """Cut a picture into patches, row after row.

    Args:
        picture: uint8 (H, W, 3); H and W are multiples of `patch`.
        patch: side of a patch in pixels.

    Returns:
        Tokens with values uint8 (n, patch, patch, 3) on the grid (H // patch, W // patch).

    Raises:
        ValueError: not a uint8 picture with three channels, or sides that the patch does not divide.
    """
    _check_picture(picture)
    return Tokens.full(*_cut(picture, patch))


def _check_picture(picture: NDArray[Any]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3), got {picture.dtype} {picture.shape}")


def unpatchify(tokens: Tokens, fill: int = 255) -> NDArray[np.uint8]:
    """Put patches back at their places; places without a patch get the grey value `fill`.

    Returns:
        uint8 (rows * patch, columns * patch, 3).
    """
    rows, columns = tokens.grid
    patch = tokens.values.shape[1]
    cells = np.full((rows * columns, patch, patch, 3), fill, np.uint8)
    cells[tokens.positions] = tokens.values
    return cells.reshape(rows, columns, patch, patch, 3).swapaxes(1, 2).reshape(rows * patch, columns * patch, 3)


def patch_coverage(mask: NDArray[np.bool_], patch: int = PATCH) -> NDArray[np.float64]:
    """Share of each patch that a mask covers: bool (H, W) to float64 (n,) in the order of `patchify`."""
    cells, _ = _cut(mask, patch)
    return cells.reshape(len(cells), -1).mean(axis=1)


def _cut(pixels: NDArray[Any], patch: int) -> tuple[NDArray[Any], tuple[int, int]]:
    height, width, *channels = pixels.shape
    if height % patch or width % patch:
        raise ValueError(f"a picture of {height} x {width} does not divide into patches of {patch} x {patch}")
    rows, columns = height // patch, width // patch
    cells = pixels.reshape(rows, patch, columns, patch, *channels).swapaxes(1, 2)
    return cells.reshape(rows * columns, patch, patch, *channels), (rows, columns)

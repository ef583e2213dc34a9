"""Maps of distances as square patches of uint16 numbers; 0 where nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.modalities.media import PICTURE_ERRORS, MediaError, decoding
from dist_mcl.tokens import Tokens

_EIGHT_BITS = 257  # 255 becomes 65535


@dataclass(frozen=True)
class DepthPatches:
    """Tokenizer of depth maps: scaled to a square as a whole, each number the one of the nearest place.

    Attributes:
        side: of the square in pixels, a multiple of `patch`.
        patch: side of a patch in pixels.
    """

    side: int
    patch: int

    def read(self, file: BinaryIO) -> NDArray[np.uint16]:
        """A grey picture as uint16 (H, W): 16-bit as it is, 8-bit scaled to the full range.

        Raises:
            MediaError: it is damaged, coloured or of another kind.
        """
        with decoding("depth map", *PICTURE_ERRORS), Image.open(file) as picture:
            mode, numbers = picture.mode, np.asarray(picture)
        if mode == "L":
            return numbers.astype(np.uint16) * _EIGHT_BITS
        if mode == "I" and numbers.size and numbers.min() >= 0 and numbers.max() <= 65535:
            return numbers.astype(np.uint16)
        if not mode.startswith("I;16"):
            raise MediaError(f"the depth map is no grey picture of 8 or 16 bits, its mode is {mode}")
        return numbers.astype(np.uint16)

    def encode(self, media: NDArray[Any]) -> Tokens:
        """Patches uint16 (n, patch, patch) on the grid (side / patch, side / patch).

        Args:
            media: uint16 (H, W) of any size.

        Raises:
            ValueError: it is something else.
        """
        if media.dtype != np.uint16 or media.ndim != 2 or not media.size:
            raise ValueError(f"a depth map is uint16 (H, W), got {media.dtype} {media.shape}")
        rows, columns = (_nearest(length, self.side) for length in media.shape)
        return patches(media[np.ix_(rows, columns)], self.patch)

    def decode(self, tokens: Tokens) -> NDArray[np.uint16]:
        """The map, uint16 (side, side); 0, nothing measured, where there is no patch."""
        return map_of(tokens)


def patches(depth: NDArray[np.uint16], patch: int) -> Tokens:
    """Cut a map (H, W) into patches, row after row: uint16 (n, patch, patch) on the grid (H / patch, W / patch).

    Raises:
        ValueError: sides that are not divided.
    """
    height, width = depth.shape
    if height % patch or width % patch:
        raise ValueError(f"a depth map of {height} x {width} does not divide into patches of {patch} x {patch}")
    rows, columns = height // patch, width // patch
    cells = depth.reshape(rows, patch, columns, patch).swapaxes(1, 2)
    return Tokens.full(np.ascontiguousarray(cells).reshape(-1, patch, patch), (rows, columns))


def map_of(tokens: Tokens) -> NDArray[np.uint16]:
    """Undo `patches`: uint16 (H, W); 0 where there is no patch."""
    rows, columns = tokens.grid
    patch = tokens.values.shape[1]
    cells = np.zeros((rows * columns, patch, patch), np.uint16)
    cells[tokens.positions] = tokens.values
    return cells.reshape(rows, columns, patch, patch).swapaxes(1, 2).reshape(rows * patch, columns * patch)


def _nearest(length: int, wanted: int) -> NDArray[np.int64]:
    return ((2 * np.arange(wanted) + 1) * length) // (2 * wanted)

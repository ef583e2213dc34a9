"""How a backbone wants pictures and texts cut into tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.tokens import Tokens


class PictureTokenizer(Protocol):
    """Scales a picture as its backbone wants it and cuts it into patches."""

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        ...

    def encode(self, picture: NDArray[np.uint8]) -> Tokens:
        """Tokens of a uint8 (H, W, 3) picture of any size: values uint8 (n, patch, patch, 3)."""
        ...


@dataclass(frozen=True)
class Tokenizers:
    """One tokenizer per modality of raw media.

    Attributes:
        image: for pictures of any size.
        text: for texts of any length.
    """

    image: PictureTokenizer
    text: TextTokenizer

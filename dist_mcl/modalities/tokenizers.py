"""How each backbone wants pictures and texts cut into tokens: known without loading it, or any model code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dist_mcl.config import Model, ViltBackbone
from dist_mcl.modalities.image import ShortSidePatches, SquarePatches
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.packages.hub import checkpoint_folder, read_preprocessing, read_settings
from dist_mcl.packages.models import model_dir
from dist_mcl.tokens import Tokens

# Text tokens that fit the position tables beside the two special tokens.
_LONGEST_TEXT = {"small": 510, "tiny": 126}
_SPECIAL = 2


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


def open_tokenizers(model: Model) -> Tokenizers:
    """What the backbone that an experiment asks for takes its samples from.

    The small backbone has 6 x 6 places for patches of 16 pixels: every picture is scaled to 96 x 96 pixels. ViLT's
    pictures keep their shape; how large they are is part of its checkpoint.

    Raises:
        UserError: the tokenizer is missing or damaged.
    """
    if isinstance(model.backbone, ViltBackbone):
        return _of_vilt(model.backbone)
    text = TextTokenizer(model_dir("all-minilm-l6-v2"), longest=_LONGEST_TEXT[model.backbone.kind])
    return Tokenizers(SquarePatches(side=96), text)


def _of_vilt(config: ViltBackbone) -> Tokenizers:
    folder = checkpoint_folder(config.path, "model.backbone.path")
    settings, preprocessing = read_settings(folder, "config"), read_preprocessing(folder)
    size = preprocessing.get("size", settings.get("image_size", 384))
    side = size["shortest_edge"] if isinstance(size, dict) else size  # a number in old files, a mapping in new ones
    longest = config.max_text_tokens or settings.get("max_position_embeddings", 40) - _SPECIAL
    return Tokenizers(
        ShortSidePatches(int(side), int(settings.get("patch_size", 32))), TextTokenizer(folder, longest=longest)
    )

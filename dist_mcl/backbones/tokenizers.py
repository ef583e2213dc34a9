"""The tokenizers of each backbone: known without loading it."""

from __future__ import annotations

from dist_mcl.config import Model
from dist_mcl.modalities.image import SquarePatches
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.packages.models import model_dir

# Text tokens that fit the position tables beside the two special tokens.
_LONGEST_TEXT = {"small": 510, "tiny": 126}


def open_tokenizers(model: Model) -> Tokenizers:
    """What the backbone that an experiment asks for takes its samples from.

    The small backbone has 6 x 6 places for patches of 16 pixels: every picture is scaled to 96 x 96 pixels.

    Raises:
        UserError: the tokenizer is missing or damaged.
    """
    text = TextTokenizer(model_dir("all-minilm-l6-v2"), longest=_LONGEST_TEXT[model.backbone])
    return Tokenizers(SquarePatches(side=96), text)

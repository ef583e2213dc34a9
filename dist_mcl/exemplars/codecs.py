"""How an exemplar's tokens are coded in the store."""

from __future__ import annotations

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.modalities.image import PATCH
from exemplar_store import Codec, Jpeg, Shuffled, TokenIds

LOGITS = "logits"  # what the store calls the answers of a model that are kept with an exemplar: a modality like others


def codecs_for(config: Exemplars, vocabulary_size: int, patch: int = PATCH) -> dict[str, Codec]:
    """The store's codec by modality: JPEG strips for pictures, the narrowest integers for token ids, float16 logits.

    Args:
        patch: side of a patch in pixels.
    """
    pictures = Jpeg(quality=config.jpeg_quality, patch=patch)
    return {
        "image": pictures,
        SURROUND: pictures,
        "text": TokenIds.for_vocabulary(vocabulary_size),
        LOGITS: Shuffled(dtype="<f2"),
    }

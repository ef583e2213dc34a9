"""How an exemplar's tokens are coded in the store."""

from __future__ import annotations

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.modalities.image import PATCH
from dist_mcl.store_config import AnyImageCodec, PredictedCodec
from exemplar_store import CODECS, Codec, Predicted, Shuffled, TokenIds

LOGITS = "logits"  # what the store calls the answers of a model that are kept with an exemplar: a modality like others


def codecs_for(config: Exemplars, vocabulary_size: int, patch: int = PATCH) -> dict[str, Codec]:
    """The store's codec by modality: `image_codec` for pictures, the narrowest integers for token ids, float16 logits.

    Args:
        patch: side of a patch in pixels.
    """
    pictures = _picture_codec(config.image_codec, patch)
    return {
        "image": pictures,
        SURROUND: pictures,
        "text": TokenIds.for_vocabulary(vocabulary_size),
        LOGITS: Shuffled(dtype="<f2"),
    }


def _picture_codec(config: AnyImageCodec, patch: int) -> Codec:
    if isinstance(config, PredictedCodec):
        return Predicted(token_shape=(patch, patch, 3))
    return CODECS[config.kind].model_validate({"patch": patch, **config.model_dump(exclude={"kind"})})

"""How an exemplar's tokens are coded in the store."""

from __future__ import annotations

import numpy as np

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.modalities.image import PATCH
from dist_mcl.store_config import AnyImageCodec, PredictedCodec
from dist_mcl.tokens import Tokens
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


def media_codec(tokens: Tokens, config: Exemplars) -> Codec:
    """The store's codec for the media of a modality, from tokens of one of them.

    `image_codec` for pictures; without loss, tubelets and depth maps as differences of neighbours, all else shuffled.
    """
    dtype, shape = tokens.values.dtype, tokens.values.shape[1:]
    is_coloured = dtype == np.uint8 and shape[-1:] == (3,)
    if is_coloured and (len(shape), len(tokens.grid)) == (3, 2):
        return _picture_codec(config.image_codec, shape[0])
    if (is_coloured and len(shape) > 2) or (dtype == np.uint16 and len(shape) > 1):
        return Predicted(dtype="|u1" if is_coloured else "<u2", token_shape=shape)
    return Shuffled(dtype=dtype.newbyteorder("<").str, token_shape=shape)


def _picture_codec(config: AnyImageCodec, patch: int) -> Codec:
    if isinstance(config, PredictedCodec):
        return Predicted(token_shape=(patch, patch, 3))
    return CODECS[config.kind].model_validate({"patch": patch, **config.model_dump(exclude={"kind"})})

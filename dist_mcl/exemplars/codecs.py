"""How an exemplar's tokens are coded in the store."""

from __future__ import annotations

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.modalities.tokenizers import Tokenizers
from exemplar_store import Codec, Jpeg, TokenIds


def codecs_for(config: Exemplars, tokenizers: Tokenizers) -> dict[str, Codec]:
    """The store's codec by modality: JPEG strips for pictures, the narrowest integers for token ids."""
    pictures = Jpeg(quality=config.jpeg_quality, patch=tokenizers.image.patch)
    return {"image": pictures, SURROUND: pictures, "text": TokenIds.for_vocabulary(tokenizers.text.vocabulary_size)}

"""Payload codecs: how the kept tokens of one modality of one exemplar become bytes.

A codec is one class in this folder, one entry in `CODECS` and one row in the shared table of tests.
"""

from functools import lru_cache

from pydantic import ValidationError

from exemplar_store.codecs.avif import Avif
from exemplar_store.codecs.base import Codec, Encoding
from exemplar_store.codecs.features import Bfloat16, Int8
from exemplar_store.codecs.jpeg import Jpeg
from exemplar_store.codecs.jxl import Jxl
from exemplar_store.codecs.predicted import Predicted
from exemplar_store.codecs.raw import Raw
from exemplar_store.codecs.shuffled import Shuffled
from exemplar_store.codecs.token_ids import TokenIds
from exemplar_store.codecs.webp import Webp, WebpLossless
from exemplar_store.errors import Damaged, UnsupportedFormat

CODECS: dict[str, type[Codec]] = {
    codec.name: codec
    for codec in (Jpeg, Webp, WebpLossless, Avif, Jxl, Predicted, Raw, Shuffled, Bfloat16, Int8, TokenIds)
}

__all__ = [
    "CODECS",
    "Avif",
    "Bfloat16",
    "Codec",
    "Encoding",
    "Int8",
    "Jpeg",
    "Jxl",
    "Predicted",
    "Raw",
    "Shuffled",
    "TokenIds",
    "Webp",
    "WebpLossless",
    "codec_of",
]


def codec_of(encoding: Encoding, where: str) -> Codec:
    """The codec that reads ``encoding``; ``where`` names the file for the error message.

    Raises:
        UnsupportedFormat: no codec of that name is known here.
        Damaged: the parameters are not the codec's.
    """
    if encoding.codec not in CODECS:
        raise UnsupportedFormat(
            f"{where}: payload codec {encoding.codec!r} is not known here (known: "
            f"{', '.join(CODECS)}); read the store with a newer exemplar_store"
        )
    try:
        return _parsed(encoding)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise Damaged(f"{where}: codec {encoding.codec!r} has a bad {field}: {first['msg']}") from error


@lru_cache(maxsize=256)
def _parsed(encoding: Encoding) -> Codec:
    """One codec object for all exemplars of an encoding, so that it prepares what it needs (JPEG: its header) once."""
    return CODECS[encoding.codec].model_validate_json(encoding.params)

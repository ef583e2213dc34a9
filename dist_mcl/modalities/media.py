"""What the tokenizer of every modality does: a media file to an array, the array to tokens, and tokens back."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

from numpy.typing import NDArray
from PIL import Image

from dist_mcl.errors import UserError
from dist_mcl.imports import make_object
from dist_mcl.modality_config import (
    AnyTokens,
    AudioTokens,
    CustomTokens,
    DepthTokens,
    ImageTokens,
    PointTokens,
    VideoTokens,
)
from dist_mcl.tokens import Tokens

# What Pillow's decoders raise on damaged, foreign and monstrous files.
PICTURE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError),
    *(struct.error, Image.DecompressionBombError),
)
# What numpy raises on such .npy and .npz files: RuntimeError for an encrypted one, MemoryError for a monstrous head.
ARRAY_ERRORS = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


class MediaError(Exception):
    """A file does not hold what its modality needs; the message says what is wrong with it."""


class MediaTokenizer(Protocol):
    """Reads the files of one modality and cuts what they hold into tokens."""

    def read(self, file: BinaryIO, /) -> NDArray[Any]:
        """What a media file holds, as an array of the modality's own shape. Raises MediaError."""
        ...

    def encode(self, media: NDArray[Any], /) -> Tokens:
        """All tokens of such an array. Raises ValueError where it has another shape or data type."""
        ...

    def decode(self, tokens: Tokens, /) -> NDArray[Any]:
        """The array that tokens stand for; places without a token are filled."""
        ...


@contextmanager
def decoding(what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns what a decoder raises on damaged and foreign files into MediaError."""
    try:
        yield
    except errors as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"the {what} cannot be read ({reason})") from error


def open_media_tokenizer(config: AnyTokens, place: str = "tokens") -> MediaTokenizer:
    """The tokenizer that a configuration asks for.

    Args:
        place: where it does, for messages.

    Raises:
        UserError: a tokenizer of one's own cannot be imported or made, or lacks a method.
    """
    # What decodes sounds, films and models is imported only where it is used.
    if isinstance(config, ImageTokens):
        from dist_mcl.modalities.image import SquarePatches

        return SquarePatches(config.side, config.patch)
    if isinstance(config, VideoTokens):
        from dist_mcl.modalities.video import Tubelets

        return Tubelets(config.frames, config.tubelet, config.side, config.patch)
    if isinstance(config, AudioTokens):
        from dist_mcl.modalities.audio import LogMelPatches

        return LogMelPatches(config.bins, config.frames, config.patch_bins, config.patch_frames)
    if isinstance(config, DepthTokens):
        from dist_mcl.modalities.depth import DepthPatches

        return DepthPatches(config.side, config.patch)
    if isinstance(config, PointTokens):
        from dist_mcl.modalities.point_cloud import PointGroups

        return PointGroups(config.groups, config.group)
    if isinstance(config, CustomTokens):
        return _custom(config, place)
    from dist_mcl.modalities.features import Vectors

    return Vectors(config.units)


def _custom(config: CustomTokens, place: str) -> MediaTokenizer:
    tokenizer: MediaTokenizer = make_object(place, config.path, config.options)
    missing = [name for name in ("read", "encode", "decode") if not callable(getattr(tokenizer, name, None))]
    if missing:
        raise UserError(f"{place}.path {config.path}: has no method {missing[0]!r}; docs/add-a-modality.md shows one")
    return tokenizer

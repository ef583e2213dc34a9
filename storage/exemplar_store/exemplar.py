"""Exemplars before and after coding. What is coded here once is copied, never coded again, as long as it lives.

Tokens can be dropped from what is coded, the others stay what they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from exemplar_store.codecs import Codec, Encoding, codec_of
from exemplar_store.errors import Damaged, StoreError
from exemplar_store.records import MAX_SIDES
from exemplar_store.targets import CLASS_ONLY, Target
from exemplar_store.tokens import Tokens

_MODALITY = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_GRID = 1 << 24  # tokens of one modality of one exemplar; a store that claims more is refused


@dataclass(frozen=True)
class Exemplar:
    """One remembered sample: its kept tokens, and why and whence they were kept.

    Attributes:
        sample_id: the dataset's stable number of the sample.
        label: class id.
        stage: the stage that brought the sample.
        rank: place in the order of selection, most often within its class; the lower, the later it is evicted.
        score: the selection's score, stored as float32, for people to look at.
        tokens: kept tokens by modality name.
        source_hw: height and width of the source picture in pixels, (0, 0) without one.
        baseline_bytes: size of the whole sample coded plainly (for a picture: the whole-image JPEG), so that tools
            can say what masking saved; 0 if unknown.
        target: further classes, question and answer, where the sample has them.
    """

    sample_id: int
    label: int
    stage: int
    rank: int
    score: float
    tokens: dict[str, Tokens]
    source_hw: tuple[int, int] = (0, 0)
    baseline_bytes: int = 0
    target: Target = CLASS_ONLY


@dataclass(frozen=True)
class EncodedTokens:
    """The tokens of one modality as stored.

    Attributes:
        modality: name, ``[a-z][a-z0-9_]*``.
        encoding: how to decode the payload.
        grid: full token grid.
        mask: ceil(prod(grid) / 8) bytes; bit ``p % 8`` (least significant first) of byte ``p // 8`` is set if the
            token at flat position p is kept.
        payload: the coded values.
    """

    modality: str
    encoding: Encoding
    grid: tuple[int, ...]
    mask: bytes
    payload: bytes

    @property
    def kept(self) -> int:
        return int.from_bytes(self.mask, "little").bit_count()


@dataclass(frozen=True)
class EncodedExemplar:
    """An exemplar ready to be stored: plain numbers and bytes, cheap to send from the rank that made it.

    Attributes:
        parts: one entry per modality, ordered by modality name; the rest as in `Exemplar`.
    """

    sample_id: int
    label: int
    stage: int
    rank: int
    score: float
    source_hw: tuple[int, int]
    baseline_bytes: int
    parts: tuple[EncodedTokens, ...]
    target: Target = CLASS_ONLY

    @property
    def labels(self) -> tuple[int, ...]:
        """All classes of the sample, the one that it was chosen for first."""
        return (self.label, *self.target.further_labels)

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Rank-major place in the memory: rank 0 of every class, then rank 1, ...; a total order within a store."""
        return (self.rank, self.label, self.sample_id, self.stage)

    @property
    def payload(self) -> bytes:
        return b"".join(part.payload for part in self.parts)

    @property
    def crc32c(self) -> int:
        return int(google_crc32c.value(self.payload))


def encode(exemplar: Exemplar, codecs: Mapping[str, Codec]) -> EncodedExemplar:
    """Code an exemplar's tokens, one codec per modality name.

    Raises:
        StoreError: a number is negative, the target cannot be stored, there are no tokens, a modality has no codec,
            or a codec refuses the values.
    """
    _check_numbers(exemplar)
    _check_modalities(exemplar, codecs)
    parts = tuple(_encode_tokens(name, exemplar.tokens[name], codecs[name]) for name in sorted(exemplar.tokens))
    return EncodedExemplar(
        int(exemplar.sample_id),
        int(exemplar.label),
        int(exemplar.stage),
        int(exemplar.rank),
        float(np.float32(exemplar.score)),
        (int(exemplar.source_hw[0]), int(exemplar.source_hw[1])),
        int(exemplar.baseline_bytes),
        parts,
        exemplar.target,
    )


def shrunk(encoded: EncodedExemplar, kept: Mapping[str, NDArray[np.bool_]]) -> EncodedExemplar:
    """The exemplar with fewer tokens, none of them coded again.

    Args:
        kept: by modality, bool (n,) for its n tokens; modalities that are not named stay whole.

    Raises:
        StoreError: a modality is not there, or its codec cannot drop tokens without loss.
        ValueError: a mask is not for as many tokens as there are.
    """
    if unknown := kept.keys() - {part.modality for part in encoded.parts}:
        raise StoreError(f"exemplar {encoded.sample_id}: has no modality {min(unknown)!r}")
    parts = [_shrunk_part(part, kept[part.modality]) if part.modality in kept else part for part in encoded.parts]
    return replace(encoded, parts=tuple(parts))


def _shrunk_part(part: EncodedTokens, kept: NDArray[np.bool_]) -> EncodedTokens:
    bits = np.unpackbits(np.frombuffer(part.mask, np.uint8), bitorder="little")
    places = np.flatnonzero(bits)
    if kept.shape != places.shape:
        raise ValueError(f"modality {part.modality!r}: {len(places)} tokens, but a mask for {kept.shape}")
    bits[places[~kept]] = 0
    payload = codec_of(part.encoding, "").take(part.payload, len(places), kept)
    return replace(part, mask=np.packbits(bits, bitorder="little").tobytes(), payload=payload)


def _check_numbers(exemplar: Exemplar) -> None:
    for field in ("sample_id", "label", "stage", "rank", "source_hw", "baseline_bytes"):
        if not all(0 <= number < 1 << 63 for number in np.atleast_1d(np.array(getattr(exemplar, field), object))):
            raise StoreError(
                f"exemplar {exemplar.sample_id}: {field} is {getattr(exemplar, field)}; it must be 0 or "
                "more and fit 63 bits"
            )
    try:
        exemplar.target.check(exemplar.label)
    except StoreError as error:
        raise StoreError(f"exemplar {exemplar.sample_id}: {error}") from error
    if not math.isfinite(exemplar.score):
        raise StoreError(f"exemplar {exemplar.sample_id}: score is {exemplar.score}; it must be finite")


def _check_modalities(exemplar: Exemplar, codecs: Mapping[str, Codec]) -> None:
    if not exemplar.tokens:
        raise StoreError(f"exemplar {exemplar.sample_id}: no tokens of any modality")
    for name in exemplar.tokens:
        if name not in codecs:
            raise StoreError(
                f"exemplar {exemplar.sample_id}: no codec for modality {name!r}; codecs are given for "
                f"{', '.join(sorted(codecs))}"
            )
        if not _MODALITY.fullmatch(name):
            raise StoreError(
                f"exemplar {exemplar.sample_id}: modality {name!r} must be lower-case letters, digits "
                "and underscores, at most 32, starting with a letter"
            )


def decode(encoded: EncodedExemplar, where: str) -> Exemplar:
    """The exemplar that was encoded; equal to it for lossless codecs. ``where`` names the file for error messages.

    Raises:
        Damaged: a payload does not hold the tokens that its mask promises.
        UnsupportedFormat: a codec is not known here.
    """
    tokens = {part.modality: _decode_tokens(part, where) for part in encoded.parts}
    return Exemplar(
        encoded.sample_id,
        encoded.label,
        encoded.stage,
        encoded.rank,
        encoded.score,
        tokens,
        encoded.source_hw,
        encoded.baseline_bytes,
        encoded.target,
    )


def _encode_tokens(modality: str, tokens: Tokens, codec: Codec) -> EncodedTokens:
    total = math.prod(tokens.grid)
    if len(tokens.grid) > MAX_SIDES:
        raise StoreError(f"modality {modality!r}: grid {tokens.grid} has {len(tokens.grid)} sides; at most {MAX_SIDES}")
    if total > MAX_GRID:
        raise StoreError(f"modality {modality!r}: grid {tokens.grid} has {total} places; the store takes {MAX_GRID}")
    bits = np.zeros(total, np.uint8)
    bits[tokens.positions] = 1
    return EncodedTokens(
        modality,
        codec.encoding,
        tokens.grid,
        np.packbits(bits, bitorder="little").tobytes(),
        codec.encode(tokens.values),
    )


def _decode_tokens(part: EncodedTokens, where: str) -> Tokens:
    total = math.prod(part.grid)
    bits = np.unpackbits(np.frombuffer(part.mask, np.uint8), bitorder="little")
    if bits[total:].any():
        raise Damaged(f"{where}: the position mask of {part.modality!r} marks places outside its grid {part.grid}")
    positions = np.flatnonzero(bits).astype(np.int64)
    try:
        values = codec_of(part.encoding, where).decode(part.payload, len(positions))
    except ValueError as error:
        raise Damaged(f"{where}: {part.modality!r}: {error}") from error
    return Tokens(values, positions, part.grid)

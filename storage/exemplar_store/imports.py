"""Making a store of pictures and texts that lie in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from exemplar_store import disk
from exemplar_store.codecs import Codec, Jpeg, TokenIds
from exemplar_store.codecs.jpeg import whole_image_bytes
from exemplar_store.errors import StoreError
from exemplar_store.exemplar import EncodedExemplar, Exemplar, encode
from exemplar_store.samples import Line, Sample
from exemplar_store.store import ExemplarStore
from exemplar_store.targets import Target
from exemplar_store.tokens import Tokens
from exemplar_store.vocabulary import read_tokenizer

MAX_VOCABULARY = 1 << 31  # of token ids that come without a tokenizer


class Importer:
    """Turns samples into coded exemplars.

    Args:
        folder: where the pictures lie.
        size: side in pixels of the square that a picture is scaled and cut to; a multiple of ``patch``.
        tokenizer: a tokenizer.json, for samples with a text.

    Raises:
        StoreError: the size is no multiple of the patch.
    """

    def __init__(self, folder: Path, size: int, patch: int, quality: int, tokenizer: Path | None) -> None:
        if size % patch:
            raise StoreError(f"size is {size}; it must be a multiple of the patch of {patch} pixels")
        self._folder, self._size, self._patch, self._quality = folder, size, patch, quality
        self._tokenizer_path = tokenizer

    def encode(self, sample: Sample) -> EncodedExemplar:
        """The coded exemplar of a sample.

        Raises:
            StoreError: a file is missing, is no picture or lies outside the folder; or a number does not fit.
        """
        line = sample.line
        try:
            tokens, source, baseline = {}, (0, 0), 0
            if line.image is not None:
                pixels, source = self._picture(line.image)
                baseline = whole_image_bytes(pixels, self._quality)
                tokens["image"] = _kept(self._patches(pixels), line.kept, "kept")
            if line.text is not None or line.tokens is not None:
                ids = np.array(self._ids(line), np.int32)
                tokens["text"] = _kept(Tokens.full(ids, ids.shape), line.kept_tokens, "kept_tokens")
            target = Target(sample.further_labels, line.question, line.answer)
            exemplar = Exemplar(
                sample.sample_id, sample.label, line.stage, sample.rank, line.score, tokens, source, baseline, target
            )
            return encode(exemplar, self._codecs)
        except StoreError as error:
            raise StoreError(f"{sample.where}: {error}") from error

    @cached_property
    def _codecs(self) -> Mapping[str, Codec]:
        vocabulary = MAX_VOCABULARY if self._tokenizer_path is None else int(self._tokenizer.get_vocab_size())
        return {"image": Jpeg(quality=self._quality, patch=self._patch), "text": TokenIds.for_vocabulary(vocabulary)}

    @cached_property
    def _tokenizer(self) -> Any:
        if self._tokenizer_path is None:
            raise StoreError("has a text; give --tokenizer to turn it into token ids")
        return read_tokenizer(self._tokenizer_path)

    def _ids(self, line: Line) -> list[int]:
        if line.tokens is not None:
            return line.tokens
        return list(self._tokenizer.encode(line.text, add_special_tokens=False).ids)

    def _picture(self, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """The picture scaled and cut to a square, uint8 (size, size, 3), and its own height and width."""
        path = self._folder / name
        try:
            if PurePosixPath(name).is_absolute() or not path.resolve().is_relative_to(self._folder.resolve()):
                raise StoreError(f"image {name!r} lies outside the folder {self._folder}")
            if path.exists() and not path.is_file():
                raise StoreError(f"image {name!r} is no file")
            with Image.open(path) as file:
                upright = ImageOps.exif_transpose(file).convert("RGB")
        except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
            raise StoreError(f"image {name!r}: {getattr(error, 'strerror', None) or error}") from error
        square = ImageOps.fit(upright, (self._size, self._size), Image.Resampling.LANCZOS)
        return np.asarray(square), (upright.height, upright.width)

    def _patches(self, pixels: NDArray[np.uint8]) -> Tokens:
        side, patch = self._size // self._patch, self._patch
        cells = pixels.reshape(side, patch, side, patch, 3).swapaxes(1, 2).reshape(side * side, patch, patch, 3)
        return Tokens.full(cells, (side, side))


def _kept(tokens: Tokens, places: list[int] | None, field: str) -> Tokens:
    if places is None:
        return tokens
    if sorted(set(places)) != places or (places and places[-1] >= len(tokens)):
        raise StoreError(f"{field} is {str(places)[:80]}; the numbers must ascend and be below {len(tokens)}")
    return tokens.take(np.array(places, np.int64))


def commit_all(
    path: Path, budget_bytes: int, run_id: str, exemplars: Sequence[EncodedExemplar], names: Mapping[int, str]
) -> ExemplarStore:
    """A new store with the exemplars, a generation for each of their stages in order; what does not fit is left out.

    Raises:
        StoreError: as `ExemplarStore.create` and `ExemplarStore.plan`.
    """
    store = ExemplarStore.create(path, budget_bytes=budget_bytes, run_id=run_id)
    try:
        for stage in sorted({one.stage for one in exemplars}):
            store.commit(store.plan(stage, [one for one in exemplars if one.stage == stage], names))
    except BaseException:
        disk.remove(store.path)  # half an import is of no use, and the next try finds the place free
        raise
    return store

"""A file per exemplar: what most replay code does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exemplar_store import Tokens
from store_bench.layout import GRID, Item, OneByOne, Reader


class WholeJpegs:
    """The whole picture as JPEG; no masking, no text."""

    note = "whole picture, no text, no checks"

    def __init__(self, quality: int) -> None:
        self.name, self._quality = f"whole JPEG q{quality} files", quality

    def prepare(self, items: Sequence[Item]) -> Sequence[bytes]:
        return [_jpeg(item.picture, self._quality) for item in items]

    def write(self, folder: Path, prepared: Sequence[bytes]) -> None:
        _write_files(folder, prepared)

    def open(self, folder: Path) -> Reader:
        return _JpegFiles(folder)


class _JpegFiles(OneByOne):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(Image.open(self._folder / f"{index:06d}"))


class NumpyArchives:
    """numpy's own format, the kept patches as they are."""

    name, note = "npz files", "kept patches, not coded; crc32 of zip"

    def prepare(self, items: Sequence[Item]) -> Sequence[bytes]:
        return [_npz(item.exemplar.tokens) for item in items]

    def write(self, folder: Path, prepared: Sequence[bytes]) -> None:
        _write_files(folder, prepared)

    def open(self, folder: Path) -> Reader:
        return _NumpyFiles(folder)


class _NumpyFiles(OneByOne):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, index: int) -> dict[str, Tokens]:
        with np.load(self._folder / f"{index:06d}") as arrays:
            return {
                "image": Tokens(arrays["image"], arrays["kept"].astype(np.int64), GRID),
                "text": Tokens(arrays["text"], arrays["said"].astype(np.int64), (int(arrays["words"]),)),
            }


def _write_files(folder: Path, files: Sequence[bytes]) -> None:
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number:06d}").write_bytes(data)


def _jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)
    return file.getvalue()


def _npz(tokens: dict[str, Tokens]) -> bytes:
    image, text = tokens["image"], tokens["text"]
    file = io.BytesIO()
    np.savez(
        file,
        image=image.values,
        kept=image.positions.astype(np.uint8),
        text=text.values,
        said=text.positions.astype(np.uint16),
        words=np.int32(text.grid[0]),
    )
    return file.getvalue()

"""Reading the Zarr v3 arrays of a segment without zarr: exactly the forms that FORMAT.md section 5 allows.

Nothing is allocated on the word of a file: the caller says what shape an array must have, and checks that number
against the size of files first.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from exemplar_store.disk import check_inside, read_inside
from exemplar_store.errors import Damaged, StoreError
from exemplar_store.records import file_checksum, parse_object
from exemplar_store.zstd import unpack_frame

CRC = 4  # bytes of CRC-32C, little-endian, behind what it covers
INDEX_ENTRY = 16  # bytes of a shard index entry: offset and size, u8 each
LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
DATA_TYPES = {"uint8": "|u1", "int64": "<i8", "float32": "<f4"}


class SegmentFiles:
    """The files of one segment, checked against the list in segment.json."""

    def __init__(self, root: Path, directory: Path, entries: Mapping[str, tuple[int, str]]) -> None:
        self.root, self.directory, self.entries = root, directory, entries

    def size(self, path: str) -> int:
        """Recorded size in bytes of a file."""
        if path not in self.entries:
            raise Damaged(f"{self.directory / 'segment.json'}: does not list {path}, which every segment has")
        return self.entries[path][0]

    def read(self, path: str) -> bytes:
        """A whole file, checked by size and checksum."""
        size = self.size(path)
        data = read_inside(self.root, self.directory / path, size, limit=size)
        if file_checksum(data) != self.entries[path][1]:
            raise Damaged(
                f"{self.directory / path}: crc32 is {file_checksum(data)}, segment.json says "
                f"{self.entries[path][1]}; the file was changed"
            )
        return data

    def open(self, path: str) -> int:
        """Descriptor for `os.pread` of a file that is checked by size alone."""
        check_inside(self.root, self.directory / path, self.size(path))
        try:
            return os.open(self.directory / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{self.directory / path}: {error.strerror}") from error

    def metadata(self, array: str) -> tuple[dict[str, Any], str]:
        """An array's zarr.json and its name for error messages."""
        where = str(self.directory / array / "zarr.json")
        return parse_object(self.read(f"{array}/zarr.json"), where), where


def read_array(files: SegmentFiles, name: str, data_type: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A small array that lies in one chunk, plain or zstd, with a checksum.

    Raises:
        Damaged: the array has another form, or its chunk is not what the checksum says.
    """
    fields, where = files.metadata(name)
    listed = fields.get("codecs")
    codecs = [one.get("name") if isinstance(one, dict) else None for one in listed] if isinstance(listed, list) else []
    chunk = [max(1, length) for length in shape]
    _expect(where, fields, {"zarr_format": 3, "data_type": data_type, "shape": list(shape)})
    _expect(
        where,
        {"codecs": codecs, "chunk_shape": _chunk_shape(fields.get("chunk_grid"))},
        {"codecs": ["bytes", "zstd", "crc32c"] if "zstd" in codecs else ["bytes", "crc32c"], "chunk_shape": chunk},
    )
    if data_type != "uint8":
        _expect(where, {"bytes codec": fields["codecs"][0]}, {"bytes codec": LITTLE_ENDIAN})
    if 0 in shape:
        return np.empty(shape, DATA_TYPES[data_type])
    path = f"{name}/c/{'/'.join('0' * len(shape))}"
    data = _without_crc(files.read(path), str(files.directory / path))
    out = np.empty(shape, DATA_TYPES[data_type])
    _fill(out, data, "zstd" in codecs, str(files.directory / path))
    return out


def _fill(out: NDArray[Any], data: bytes, compressed: bool, where: str) -> None:
    try:
        values = unpack_frame(data, out.nbytes) if compressed else data
    except ValueError as error:
        raise Damaged(f"{where}: {error}") from error
    if len(values) != out.nbytes:
        raise Damaged(f"{where}: holds {len(values)} bytes, {out.nbytes} are needed")
    out.reshape(-1).view(np.uint8)[:] = np.frombuffer(values, np.uint8)


class Payload:
    """The sharded byte array of coded exemplars, read by `os.pread`, so that threads and forked processes may share it.

    Attributes:
        length: bytes of payload.
    """

    def __init__(self, files: SegmentFiles, length: int) -> None:
        fields, where = files.metadata("payload")
        self.length = length
        self.inner, self.per_shard = _sharding(where, fields, length)
        self._where = files.directory / "payload"
        self._descriptors: list[int] = []
        weakref.finalize(self, _close_all, self._descriptors)
        inner_chunks = math.ceil(length / self.inner)
        shards = math.ceil(inner_chunks / self.per_shard)
        self._index = [self._open_shard(files, shard) for shard in range(shards)]

    def read(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop). They are not checked here: every exemplar has a checksum of its own.

        Raises:
            Damaged: the file is shorter than its index says.
        """
        pieces = []
        while start < stop:
            chunk, within = divmod(start, self.inner)
            take = min(stop - start, self.inner - within)
            pieces.append(self._pread(chunk, within, take))
            start += take
        return b"".join(pieces)

    def read_checked(self, chunk: int) -> bytes:
        """One whole inner chunk, padding included, checked by its own checksum."""
        return _without_crc(self._pread(chunk, 0, self.inner + CRC), f"{self._where}: inner chunk {chunk}")

    def close(self) -> None:
        _close_all(self._descriptors)

    def _pread(self, chunk: int, within: int, size: int) -> bytes:
        shard, entry = divmod(chunk, self.per_shard)
        try:
            data = os.pread(self._descriptors[shard], size, int(self._index[shard][entry]) + within)
        except OSError as error:
            raise StoreError(f"{self._where}/c/{shard}: {error.strerror}") from error
        if len(data) != size:
            raise Damaged(f"{self._where}/c/{shard}: ends early; it was cut short while the store was open")
        return data

    def _open_shard(self, files: SegmentFiles, shard: int) -> NDArray[np.uint64]:
        """Where each inner chunk of a shard begins."""
        path = f"payload/c/{shard}"
        where, size = f"{files.directory / path}", files.size(path)
        index_bytes = self.per_shard * INDEX_ENTRY + CRC
        if index_bytes > size:
            raise Damaged(f"{where}: has {size} bytes, its shard index alone needs {index_bytes}")
        descriptor = files.open(path)
        self._descriptors.append(descriptor)
        index = _without_crc(os.pread(descriptor, index_bytes, size - index_bytes), f"{where}: shard index")
        entries = np.frombuffer(index, "<u8").reshape(-1, 2)
        used = entries[: max(0, math.ceil(self.length / self.inner) - shard * self.per_shard)]
        limit = size - index_bytes - self.inner - CRC
        if limit < 0 or np.any(used[:, 1] != self.inner + CRC) or np.any(used[:, 0] > limit):
            raise Damaged(f"{where}: its shard index points outside the file")
        return used[:, 0]


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _sharding(where: str, fields: dict[str, Any], length: int) -> tuple[int, int]:
    """Bytes of an inner chunk, and inner chunks of a shard."""
    _expect(where, fields, {"zarr_format": 3, "data_type": "uint8", "shape": [length]})
    shard = _chunk_shape(fields.get("chunk_grid"))
    codecs = fields.get("codecs")
    sharding = codecs[0] if isinstance(codecs, list) and codecs else None
    configuration = sharding.get("configuration") if isinstance(sharding, dict) else None
    inner = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
    _expect(
        where,
        {"codecs": codecs},
        {
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": inner,
                        "codecs": [{"name": "bytes"}, {"name": "crc32c"}],
                        "index_codecs": [LITTLE_ENDIAN, {"name": "crc32c"}],
                        "index_location": "end",
                    },
                }
            ]
        },
    )
    sizes = [*(shard or []), *(inner if isinstance(inner, list) else [])]
    if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 for size in sizes) or sizes[0] % sizes[1]:
        raise Damaged(f"{where}: shards of {shard} bytes do not divide into inner chunks of {inner}")
    return sizes[1], sizes[0] // sizes[1]


def _chunk_shape(grid: Any) -> list[int] | None:
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not isinstance(grid.get("configuration"), dict):
        return None
    shape = grid["configuration"].get("chunk_shape")
    return shape if isinstance(shape, list) else None


def _expect(where: str, fields: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if fields.get(name) != value:
            raise Damaged(f"{where}: {name} is {json.dumps(fields.get(name))[:200]}, {json.dumps(value)} is expected")


def _without_crc(data: bytes, where: str) -> bytes:
    body, crc = data[:-CRC], data[-CRC:]
    if google_crc32c.value(body) != int.from_bytes(crc, "little") or len(crc) != CRC:
        raise Damaged(f"{where}: its checksum does not match; it was changed")
    return body

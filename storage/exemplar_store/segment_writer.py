"""Building a segment: an immutable Zarr v3 group with one writer, whole in memory. FORMAT.md section 5 describes it.

Its exact size follows from outlines alone, so that what to admit is decided before a payload is moved or written.

zarr-python lays out metadata, chunks and shards; only its JSON is written again without blanks.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from exemplar_store.codecs import Encoding
from exemplar_store.errors import StoreError
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.outline import Outline, outline
from exemplar_store.records import SEGMENT_ATTRIBUTE, VERSION, SegmentRef, crc_text, file_checksum, seal
from exemplar_store.table import row_names
from exemplar_store.targets import target_arrays
from exemplar_store.zarr_arrays import CRC, INDEX_ENTRY

INNER_CHUNK = 64 << 10  # bytes of payload under one checksum
SHARD = 64 << 20  # bytes of payload in one file, about
SMALL = [ZstdCodec(level=19), Crc32cCodec()]
PLAIN = [Crc32cCodec()]
ANY_DIGEST = "0" * 8


@dataclass(frozen=True)
class Segment:
    """A finished segment that is not yet on disk.

    Attributes:
        files: contents by path inside the segment, segment.json included.
        ref: how a generation names it.
    """

    files: dict[str, bytes]
    ref: SegmentRef


def build_segment(exemplars: Sequence[EncodedExemplar], stage: int, writer: int = 0) -> Segment:
    """The segment that holds ``exemplars`` in this order.

    The name ends in a digest of the content: the same exemplars make the same segment, byte for byte.

    Raises:
        StoreError: one modality has grids with different numbers of sides.
    """
    payload = b"".join(one.payload for one in exemplars)
    files = _zarr_files([outline(one) for one in exemplars], payload)
    index = _index(len(exemplars), {path: (len(data), file_checksum(data)) for path, data in files.items()})
    files["segment.json"] = index
    name = f"{stage:04d}-{writer:03d}-{hashlib.sha256(index).hexdigest()[:12]}.zarr"
    return Segment(
        files,
        SegmentRef(name=name, exemplars=len(exemplars), bytes=sum(map(len, files.values())), crc32c=crc_text(index)),
    )


def measure_segment(outlines: Sequence[Outline], stage: int, writer: int = 0) -> SegmentRef:
    """The ref that `build_segment` will make of these exemplars: its lengths and sizes are exact, its digests are not.

    Raises:
        StoreError: as `build_segment`.
    """
    sizes = {path: len(data) for path, data in _zarr_files(outlines, None).items()}
    sizes |= _payload_sizes(sum(one.payload_bytes for one in outlines))
    index = _index(len(outlines), {path: (size, ANY_DIGEST) for path, size in sizes.items()})
    return SegmentRef(
        name=f"{stage:04d}-{writer:03d}-{'0' * 12}.zarr",
        exemplars=len(outlines),
        bytes=sum(sizes.values()) + len(index),
        crc32c=ANY_DIGEST,
    )


def _index(exemplars: int, files: dict[str, tuple[int, str]]) -> bytes:
    """segment.json: size and checksum of every other file by path."""
    return seal({"exemplars": exemplars, "files": {path: list(files[path]) for path in sorted(files)}})


def _encoding_key(encoding: Encoding) -> tuple[str, str]:
    return encoding.codec, encoding.params


def _modality_sides(outlines: Sequence[Outline]) -> dict[str, int]:
    sides: dict[str, int] = {}
    for one in [sketch.facts for sketch in outlines]:
        for part in one.parts:
            if sides.setdefault(part.modality, len(part.grid)) != len(part.grid):
                raise StoreError(
                    f"exemplar {one.sample_id}: the grid {part.grid} of modality {part.modality!r} has "
                    f"{len(part.grid)} sides, other exemplars have {sides[part.modality]}; give the "
                    "modality another name"
                )
    return dict(sorted(sides.items()))


def _zarr_files(outlines: Sequence[Outline], payload: bytes | None) -> dict[str, bytes]:
    """All files of the group by path; without those that hold the payload if it is not given."""
    sides = _modality_sides(outlines)
    encodings = sorted({part.encoding for one in outlines for part in one.facts.parts}, key=_encoding_key)
    memory = MemoryStore()
    group = zarr.create_group(
        memory,
        zarr_format=3,
        attributes={
            SEGMENT_ATTRIBUTE: {
                "version": list(VERSION),
                "modalities": [{"name": name, "sides": count} for name, count in sides.items()],
                "encodings": [
                    {"codec": encoding.codec, "params": json.loads(encoding.params)} for encoding in encodings
                ],
            }
        },
    )
    rows, arrays = target_arrays([one.facts.target for one in outlines])
    further = np.array(list(rows.values()), np.int64).reshape(len(rows), len(outlines))
    table = _add(group, "table", np.concatenate([_table(outlines, sides, encodings), further]), SMALL)
    table.attrs["rows"] = [*row_names(sides), *rows]
    for name, values in arrays.items():
        _add(group, name, values, SMALL)
    _add(group, "positions", _positions(outlines, sides), SMALL)
    _add(group, "score", np.array([one.facts.score for one in outlines], np.float32), PLAIN)
    array = _add_payload(group, sum(one.payload_bytes for one in outlines))
    if payload:
        array[...] = np.frombuffer(payload, np.uint8)
    return {path: _compact(path, buffer.to_bytes()) for path, buffer in memory._store_dict.items()}


def _compact(path: str, data: bytes) -> bytes:
    if not path.endswith("zarr.json"):
        return data
    return json.dumps(json.loads(data), separators=(",", ":")).encode("ascii")


def _add(group: zarr.Group, name: str, values: NDArray[Any], codecs: Sequence[BytesBytesCodec]) -> zarr.Array[Any]:
    """One array in one chunk. Chunks of zeros are written too: a missing chunk must mean damage."""
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        fill_value=0,
        filters=None,
        chunks=tuple(max(1, length) for length in values.shape),
        compressors=codecs,
        config={"write_empty_chunks": True},
    )
    if values.size:
        array[...] = values
    return array


def _payload_chunks(length: int) -> tuple[int, int, int]:
    """Bytes of an inner chunk, inner chunks of a shard, and inner chunks in all, for ``length`` bytes of payload.

    Inner chunks have equal size, so padding stays below a byte each, and there are as few files as possible.
    """
    chunks = max(1, math.ceil(length / INNER_CHUNK))
    shards = math.ceil(chunks * INNER_CHUNK / SHARD)
    return max(1, math.ceil(length / chunks)), math.ceil(chunks / shards), chunks


def _add_payload(group: zarr.Group, length: int) -> zarr.Array[Any]:
    """The array for the coded exemplars end to end, still empty."""
    inner, per_shard, _ = _payload_chunks(length)
    return group.create_array(
        "payload",
        shape=(length,),
        dtype="uint8",
        fill_value=0,
        filters=None,
        serializer=BytesCodec(endian=None),
        compressors=PLAIN,
        chunks=(inner,),
        shards=(inner * per_shard,),
        config={"write_empty_chunks": True},
    )


def _payload_sizes(length: int) -> dict[str, int]:
    """Size of each file that zarr's sharding makes of ``length`` bytes: inner chunks, and an index at the end."""
    inner, per_shard, chunks = _payload_chunks(length)
    sizes = {}
    for shard in range(math.ceil(chunks / per_shard) if length else 0):
        present = min(per_shard, chunks - shard * per_shard)
        sizes[f"payload/c/{shard}"] = present * (inner + CRC) + per_shard * INDEX_ENTRY + CRC
    return sizes


def _table(outlines: Sequence[Outline], sides: dict[str, int], encodings: list[Encoding]) -> NDArray[np.int64]:
    place = {encoding: number for number, encoding in enumerate(encodings)}
    columns = [
        list(
            chain(
                _exemplar_cells(one.facts, one.crc32c),
                *(_modality_cells(one, name, count, place) for name, count in sides.items()),
            )
        )
        for one in outlines
    ]
    return np.array(columns, np.int64).T.copy()


def _exemplar_cells(one: EncodedExemplar, crc32c: int) -> tuple[int, ...]:
    return (one.sample_id, one.label, one.stage, one.rank, *one.source_hw, one.baseline_bytes, crc32c)


def _modality_cells(one: Outline, name: str, sides: int, place: dict[Encoding, int]) -> list[int]:
    for part, size in zip(one.facts.parts, one.sizes, strict=True):
        if part.modality == name:
            return [place[part.encoding], size, *part.grid]
    return [-1, 0] + [0] * sides


def _positions(outlines: Sequence[Outline], sides: dict[str, int]) -> NDArray[np.uint8]:
    masks = [part.mask for name in sides for one in outlines for part in one.facts.parts if part.modality == name]
    return np.frombuffer(b"".join(masks), np.uint8)

"""Building a segment: an immutable Zarr v3 group with one writer, whole in memory, so that its size is known exactly
before a byte is admitted. FORMAT.md section 5 describes the result.

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
from exemplar_store.records import SEGMENT_ATTRIBUTE, VERSION, SegmentRef, crc_text, file_checksum, seal
from exemplar_store.table import row_names
from exemplar_store.targets import target_arrays

INNER_CHUNK = 64 << 10  # bytes of payload under one checksum
SHARD = 64 << 20  # bytes of payload in one file, about
SMALL = [ZstdCodec(level=19), Crc32cCodec()]
PLAIN = [Crc32cCodec()]


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
    sides = _modality_sides(exemplars)
    encodings = sorted({part.encoding for one in exemplars for part in one.parts}, key=_encoding_key)
    files = _zarr_files(exemplars, sides, encodings)
    entries = {path: [len(data), file_checksum(data)] for path, data in sorted(files.items())}
    index = seal({"exemplars": len(exemplars), "files": entries})
    files["segment.json"] = index
    name = f"{stage:04d}-{writer:03d}-{hashlib.sha256(index).hexdigest()[:12]}.zarr"
    return Segment(
        files,
        SegmentRef(name=name, exemplars=len(exemplars), bytes=sum(map(len, files.values())), crc32c=crc_text(index)),
    )


def _encoding_key(encoding: Encoding) -> tuple[str, str]:
    return encoding.codec, encoding.params


def _modality_sides(exemplars: Sequence[EncodedExemplar]) -> dict[str, int]:
    sides: dict[str, int] = {}
    for one in exemplars:
        for part in one.parts:
            if sides.setdefault(part.modality, len(part.grid)) != len(part.grid):
                raise StoreError(
                    f"exemplar {one.sample_id}: the grid {part.grid} of modality {part.modality!r} has "
                    f"{len(part.grid)} sides, other exemplars have {sides[part.modality]}; give the "
                    "modality another name"
                )
    return dict(sorted(sides.items()))


def _zarr_files(
    exemplars: Sequence[EncodedExemplar], sides: dict[str, int], encodings: list[Encoding]
) -> dict[str, bytes]:
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
    rows, arrays = target_arrays([one.target for one in exemplars])
    further = np.array(list(rows.values()), np.int64).reshape(len(rows), len(exemplars))
    table = _add(group, "table", np.concatenate([_table(exemplars, sides, encodings), further]), SMALL)
    table.attrs["rows"] = [*row_names(sides), *rows]
    for name, values in arrays.items():
        _add(group, name, values, SMALL)
    _add(group, "positions", _positions(exemplars, sides), SMALL)
    _add(group, "score", np.array([one.score for one in exemplars], np.float32), PLAIN)
    _add_payload(group, b"".join(one.payload for one in exemplars))
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


def _add_payload(group: zarr.Group, payload: bytes) -> None:
    """The coded exemplars end to end, in checksummed inner chunks of equal size (so padding stays under a byte each),
    sharded into as few files as possible.
    """
    inner_chunks = max(1, math.ceil(len(payload) / INNER_CHUNK))
    shards = math.ceil(inner_chunks * INNER_CHUNK / SHARD)
    inner = max(1, math.ceil(len(payload) / inner_chunks))
    array = group.create_array(
        "payload",
        shape=(len(payload),),
        dtype="uint8",
        fill_value=0,
        filters=None,
        serializer=BytesCodec(endian=None),
        compressors=PLAIN,
        chunks=(inner,),
        shards=(inner * math.ceil(inner_chunks / shards),),
        config={"write_empty_chunks": True},
    )
    if payload:
        array[...] = np.frombuffer(payload, np.uint8)


def _table(exemplars: Sequence[EncodedExemplar], sides: dict[str, int], encodings: list[Encoding]) -> NDArray[np.int64]:
    place = {encoding: number for number, encoding in enumerate(encodings)}
    columns = [
        list(
            chain(
                (one.sample_id, one.label, one.stage, one.rank, *one.source_hw, one.baseline_bytes, one.crc32c),
                *(_modality_cells(one, name, count, place) for name, count in sides.items()),
            )
        )
        for one in exemplars
    ]
    return np.array(columns, np.int64).T.copy()


def _modality_cells(one: EncodedExemplar, name: str, sides: int, place: dict[Encoding, int]) -> list[int]:
    for part in one.parts:
        if part.modality == name:
            return [place[part.encoding], len(part.payload), *part.grid]
    return [-1, 0] + [0] * sides


def _positions(exemplars: Sequence[EncodedExemplar], sides: dict[str, int]) -> NDArray[np.uint8]:
    masks = [part.mask for name in sides for one in exemplars for part in one.parts if part.modality == name]
    return np.frombuffer(b"".join(masks), np.uint8)

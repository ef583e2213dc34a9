"""The exemplar store itself, and other Zarr libraries on the very same files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from exemplar_store import Codec, EncodedExemplar, ExemplarStore, StoreReader, Tokens, encode
from store_bench.layout import IMAGE, TEXT, Item, OneByOne, Reader, positions

THREADS = 2  # of the rows that read in more than one
AMPLE = 1 << 40  # bytes of budget: nothing is evicted


class OwnStore:
    """The store with one codec for pictures, read in a number of threads."""

    note = "checks every read; synced to disk"

    def __init__(self, codec: Codec, threads: int = 1) -> None:
        quality = getattr(codec, "quality", None)
        coded = codec.name if quality is None else f"{codec.name} q{quality}"
        self.name = f"exemplar_store {coded}" + (f", {threads} threads" if threads > 1 else "")
        self._codec, self._threads = codec, threads
        codec.encode(np.zeros((1, 16, 16, 3), np.uint8))  # is its library here?

    def prepare(self, items: Sequence[Item]) -> Sequence[EncodedExemplar]:
        codecs = {"image": self._codec, "text": TEXT}
        return [item.encoded if self._codec is IMAGE else encode(item.exemplar, codecs) for item in items]

    def write(self, folder: Path, prepared: Sequence[EncodedExemplar]) -> None:
        store = ExemplarStore.create(folder, budget_bytes=AMPLE, run_id="benchmark")
        store.commit(store.plan(1, prepared))

    def open(self, folder: Path) -> Reader:
        return StoreReader(folder, threads=self._threads)


class ZarrPython(OwnStore):
    """zarr-python on the store's files."""

    note = "on our files; checks inner chunks"

    def __init__(self) -> None:
        super().__init__(IMAGE)
        self.name = f"zarr-python {zarr.__version__}"

    def open(self, folder: Path) -> Reader:
        group = zarr.open_group(_segment(folder), mode="r")
        payload = group["payload"]
        assert isinstance(payload, zarr.Array)
        return _Segment(folder, lambda start, stop: np.asarray(payload[start:stop]).tobytes())


class Tensorstore(OwnStore):
    """tensorstore on the store's files."""

    note = "on our files; checks inner chunks"

    def __init__(self) -> None:
        import tensorstore

        super().__init__(IMAGE)
        self._open = tensorstore.open
        self.name = "tensorstore"

    def open(self, folder: Path) -> Reader:
        path = str(_segment(folder) / "payload")
        payload = self._open({"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}, read=True).result()
        return _TensorstoreSegment(folder, payload)


class _Segment(OneByOne):
    """The only segment of a store as somebody reads it who has a Zarr library and FORMAT.md."""

    def __init__(self, folder: Path, read_bytes: Any) -> None:
        segment = zarr.open_group(_segment(folder), mode="r")
        table, masks = segment["table"], segment["positions"]
        assert isinstance(table, zarr.Array) and isinstance(masks, zarr.Array)
        self._read_bytes, self._masks = read_bytes, np.asarray(masks[:])
        values = np.asarray(table[:])
        self._rows = dict(zip(json.loads(json.dumps(table.attrs["rows"])), values, strict=True))
        self._start = _starts(self._rows["image.bytes"] + self._rows["text.bytes"])
        places = self._rows["image.grid.0"] * self._rows["image.grid.1"]
        self._image_mask = _starts(-(-places // 8))
        self._text_mask = self._image_mask[-1] + _starts(-(-self._rows["text.grid.0"] // 8))

    def read(self, index: int) -> dict[str, Tokens]:
        return self._decode(index, self._read_bytes(self._start[index], self._start[index + 1]))

    def _decode(self, index: int, payload: bytes) -> dict[str, Tokens]:
        rows, at = self._rows, int(self._rows["image.bytes"][index])
        grid = int(rows["image.grid.0"][index]), int(rows["image.grid.1"][index])
        words = int(rows["text.grid.0"][index])
        kept = self._positions(self._image_mask, index, grid[0] * grid[1])
        said = self._positions(self._text_mask, index, words)
        return {
            "image": Tokens(IMAGE.decode(payload[:at], len(kept)), kept, grid),
            "text": Tokens(TEXT.decode(payload[at:], len(said)), said, (words,)),
        }

    def _positions(self, starts: NDArray[np.int64], index: int, places: int) -> NDArray[np.int64]:
        return positions(self._masks[starts[index] : starts[index + 1]].tobytes(), places)


class _TensorstoreSegment(_Segment):
    def __init__(self, folder: Path, payload: Any) -> None:
        super().__init__(folder, lambda start, stop: payload[start:stop].read().result().tobytes())
        self._payload = payload

    def read_many(self, indices: Sequence[int]) -> list[Any]:
        pending = [self._payload[self._start[index] : self._start[index + 1]].read() for index in indices]
        return [self._decode(index, found.result().tobytes()) for index, found in zip(indices, pending, strict=True)]


def _segment(folder: Path) -> Path:
    (segment,) = (folder / "segments").iterdir()
    return segment


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)])

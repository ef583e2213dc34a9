"""`StoreReader`: random access to the exemplars of one generation, without zarr or asyncio on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exemplar_store.decoding import DecodingThreads
from exemplar_store.errors import StoreError
from exemplar_store.exemplar import EncodedExemplar, Exemplar
from exemplar_store.generations import Snapshot, generation_numbers, read_info, read_snapshot
from exemplar_store.segment_reader import SegmentReader
from exemplar_store.targets import Target

BATCH = 64  # exemplars that are decoded at once where all are wanted


class StoreReader:
    """The n exemplars of one generation, in rank-major order (rank, label, sample id, stage).

    The order does not depend on how segments lie on disk. The generation is pinned when the reader is made: commits
    that follow do not change what it returns. It reads by `pread` on descriptors opened once, so it may be used from
    threads and after a fork, and it pickles as path, generation number and threads.

    Args:
        path: the store's folder.
        generation: number of the generation to read; the head if None.
        threads: how many threads `read_many` decodes in; None for one per processor that this process may use, at most
            4. Give 1 where many processes read at once.

    Attributes:
        snapshot: the store at the pinned generation.
        labels, ranks, sample_ids, stages: int64 (n,).
        scores: float32 (n,).
        payload_bytes: int64 (n,) coded size of each exemplar, without its share of the store's metadata.
        baseline_bytes: int64 (n,), 0 where it is not known.
        kept, places: int64 (n,) by modality: tokens kept, and tokens of the full grid (0 without the modality).
        modality_bytes: int64 (n,) by modality: that part of ``payload_bytes``.

    Raises:
        StoreError: the store cannot be read, or the generation is gone.
        ValueError: ``threads`` is less than 1.
    """

    def __init__(self, path: Path | str, generation: int | None = None, threads: int | None = None) -> None:
        self._threads = DecodingThreads(threads)
        self.snapshot, self._segments = _open_generation(Path(path).absolute(), generation)
        self._segment_of = np.repeat(np.arange(len(self._segments)), [len(one) for one in self._segments])
        self._row_of = np.concatenate([np.arange(len(one)) for one in self._segments] or [np.zeros(0, np.int64)])
        keys = [self._column(name) for name in ("stage", "sample_id", "label", "rank")]  # lexsort: last key first
        self._disk_order = order = np.lexsort(keys)
        self._segment_of, self._row_of = self._segment_of[order], self._row_of[order]
        self._read_columns(order)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def threads(self) -> int:
        """How many threads `read_many` decodes in."""
        return self._threads.count

    def read(self, index: int) -> Exemplar:
        """The exemplar at ``index``, checked and decoded.

        Raises:
            IndexError: there is no such exemplar.
            Damaged: its bytes are not what was written.
        """
        segment, row = self._place(index)
        return self._segments[segment].decoded(row)

    def encoded(self, index: int) -> EncodedExemplar:
        """The exemplar at ``index``, checked and still coded, as `shrunk` takes it.

        Raises:
            IndexError, Damaged: as `read` does.
        """
        segment, row = self._place(index)
        return self._segments[segment].encoded(row)

    def target(self, index: int) -> Target:
        """Further classes, question and answer of the exemplar at ``index``, without reading its tokens."""
        segment, row = self._place(index)
        return self._segments[segment].targets.of(row)

    def read_many(self, indices: Iterable[int]) -> list[Exemplar]:
        """The exemplars at ``indices``, in that order; the disk is read in the order in which they lie there.

        Raises:
            IndexError, Damaged: as `read` does; nothing is returned then.
        """
        wanted = [int(index) for index in indices]
        nearest = sorted(set(wanted), key=self._place)
        found = dict(zip(nearest, self._threads.map(self.read, nearest), strict=True))
        return [found[index] for index in wanted]

    def read_all(self) -> Iterator[Exemplar]:
        """Every exemplar in order; only some are in memory at once.

        Raises:
            Damaged: as `read` does.
        """
        for start in range(0, len(self), BATCH):
            yield from self.read_many(range(start, min(start + BATCH, len(self))))

    def select(self, label: int | None = None, stage: int | None = None, codec: str | None = None) -> NDArray[np.int64]:
        """Indices, ascending, of the exemplars of a class (their only one or one of several), of a stage, and with
        tokens in a codec; of all for None.
        """
        chosen = np.ones(len(self), np.bool_)
        if codec is not None:
            chosen &= np.any([self.codecs(name) == codec for name in self.modality_bytes], axis=0)
        if label is not None:
            chosen &= (self.labels == label) | self._also_of(label)
        if stage is not None:
            chosen &= self.stages == stage
        return np.flatnonzero(chosen)

    def codecs(self, modality: str) -> NDArray[np.str_]:
        """(n,) name of the codec of each exemplar's tokens of a modality, empty where it has none."""
        parts = [_codec_names(one, modality) for one in self._segments]
        return np.concatenate(parts or [np.zeros(0, np.str_)])[self._disk_order]

    def close(self) -> None:
        """Close all files. The arrays stay usable, `read` does not."""
        for segment in self._segments:
            segment.close()

    def __reduce__(self) -> tuple[type[StoreReader], tuple[str, int, int]]:
        return StoreReader, (str(self.snapshot.root), self.snapshot.generation.number, self.threads)

    def _also_of(self, label: int) -> NDArray[np.bool_]:
        holding = [one.targets.holding(label) for one in self._segments]
        return np.concatenate(holding or [np.zeros(0, np.bool_)])[self._disk_order]

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"exemplar {index}: the store holds {len(self)}, numbered from 0")
        return int(self._segment_of[index]), int(self._row_of[index])

    def _column(self, name: str) -> NDArray[np.int64]:
        """A row of the segments' tables, segment after segment; 0 in segments that lack it."""
        parts = [one.columns.get(name, np.zeros(len(one), np.int64)) for one in self._segments]
        return np.concatenate(parts or [np.zeros(0, np.int64)])

    def _read_columns(self, order: NDArray[np.int64]) -> None:
        self.labels = self._column("label")[order]
        self.ranks = self._column("rank")[order]
        self.sample_ids = self._column("sample_id")[order]
        self.stages = self._column("stage")[order]
        self.baseline_bytes = self._column("baseline_bytes")[order]
        self.scores = np.concatenate([one.score for one in self._segments] or [np.zeros(0, np.float32)])[order]
        modalities = sorted({name for one in self._segments for name in one.modalities})
        self.modality_bytes = {name: self._column(f"{name}.bytes")[order] for name in modalities}
        self.payload_bytes = sum(self.modality_bytes.values(), np.zeros(len(order), np.int64))
        self.kept = {
            name: np.concatenate([one.kept.get(name, np.zeros(len(one), np.int64)) for one in self._segments])[order]
            for name in modalities
        }
        self.places = {
            name: np.concatenate([one.places.get(name, np.zeros(len(one), np.int64)) for one in self._segments])[order]
            for name in modalities
        }


def _codec_names(segment: SegmentReader, modality: str) -> NDArray[np.str_]:
    if modality not in segment.modalities:
        return np.full(len(segment), "")
    names = np.array([*(one.codec for one in segment.encodings), ""])  # encoding -1, none, is the last
    return names[segment.columns[f"{modality}.encoding"]]


def _open_generation(root: Path, number: int | None) -> tuple[Snapshot, list[SegmentReader]]:
    """All segments of a generation. The head may be superseded and removed between reading it and opening it."""
    read_info(root)  # first of all: is it a store at all
    while True:
        before = generation_numbers(root)
        try:
            snapshot = read_snapshot(root, number)
            return snapshot, [SegmentReader(root, ref) for ref in snapshot.generation.segments]
        except StoreError:
            if number is not None or generation_numbers(root)[-1:] == before[-1:]:
                raise

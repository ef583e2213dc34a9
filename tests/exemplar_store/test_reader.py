from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from exemplar_store import (
    Codec,
    Damaged,
    EncodedExemplar,
    Exemplar,
    ExemplarStore,
    StoreError,
    StoreReader,
    encode,
    layout,
)

Make = Callable[..., Exemplar]
EncodeClass = Callable[..., list[EncodedExemplar]]


@pytest.fixture
def three_segments(tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch) -> ExemplarStore:
    """Lossless exemplars of six classes in three segments."""
    monkeypatch.setattr(layout, "WRITER_BYTES", 0)
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=1_000_000, run_id="run")
    for stage in (1, 2, 3):
        store.commit(store.plan(stage, encode_class([stage, 10 - stage], 3, stage, exact=True)))
    assert len(store.head.segments) == 3
    return store


def test_exemplars_come_back_in_rank_major_order(three_segments: ExemplarStore, make_exemplar: Make) -> None:
    reader = StoreReader(three_segments.path)
    assert len(reader) == 18
    assert reader.labels.tolist() == [1, 2, 3, 7, 8, 9] * 3
    assert reader.ranks.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert reader.stages.tolist() == [1, 2, 3, 3, 2, 1] * 3
    for index in range(18):
        label, rank = int(reader.labels[index]), int(reader.ranks[index])
        expected = make_exemplar(1000 * label + rank, label, rank, int(reader.stages[index]))
        got = reader.read(index)
        assert got.tokens == expected.tokens and got.sample_id == reader.sample_ids[index] == expected.sample_id
        assert got.score == np.float32(expected.score) == reader.scores[index]
        assert (got.source_hw, got.baseline_bytes) == ((96, 96), reader.baseline_bytes[index])


def test_read_many_keeps_the_order_and_repeats(three_segments: ExemplarStore) -> None:
    reader = StoreReader(three_segments.path)
    wanted = [17, 0, 5, 5, 3]
    assert [one.sample_id for one in reader.read_many(wanted)] == reader.sample_ids[wanted].tolist()


def test_any_number_of_threads_gives_the_same_exemplars(three_segments: ExemplarStore) -> None:
    one = StoreReader(three_segments.path, threads=1)
    wanted = np.random.default_rng(0).permutation(18).tolist()
    expected = [item.tokens for item in one.read_many(wanted)]
    for threads in (2, 3, 7, None):
        reader = StoreReader(three_segments.path, threads=threads)
        assert [item.tokens for item in reader.read_many(wanted)] == expected
        assert [item.tokens for item in pickle.loads(pickle.dumps(reader)).read_many(wanted)] == expected  # noqa: S301
    with pytest.raises(ValueError, match="threads is 0"):
        StoreReader(three_segments.path, threads=0)


def test_decoding_threads_are_started_again_after_a_fork(three_segments: ExemplarStore) -> None:
    reader = StoreReader(three_segments.path, threads=2)
    expected = [item.tokens for item in reader.read_many(range(18))]
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a pool of threads that are not there waits for ever
        os._exit(0 if [item.tokens for item in reader.read_many(range(18))] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_damage_in_a_thread_is_reported(three_segments: ExemplarStore) -> None:
    reader = StoreReader(three_segments.path, threads=3)
    for file in (three_segments.path / "segments").glob("*/payload/c/0"):
        data = bytearray(file.read_bytes())
        data[100] ^= 1
        file.write_bytes(data)
    with pytest.raises(Damaged, match="its checksum does not match"):
        reader.read_many(range(18))


def test_the_disk_is_read_in_the_order_in_which_exemplars_lie(
    three_segments: ExemplarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StoreReader(three_segments.path, threads=1)
    reads: list[tuple[int, int]] = []
    pread = os.pread

    def watched(descriptor: int, size: int, offset: int) -> bytes:
        reads.append((descriptor, offset))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", watched)
    reader.read_many(np.random.default_rng(1).permutation(18))
    files = [descriptor for descriptor, _ in reads]
    assert len(set(files)) == 3 and files == sorted(files, key=files.index)
    assert all(a[1] < b[1] for a, b in pairwise(reads) if a[0] == b[0])


@pytest.mark.parametrize("index", [-1, 18])
def test_indices_outside_are_errors(three_segments: ExemplarStore, index: int) -> None:
    with pytest.raises(IndexError, match="holds 18"):
        StoreReader(three_segments.path).read(index)


def test_columns_say_what_is_kept_and_what_it_costs(three_segments: ExemplarStore) -> None:
    reader = StoreReader(three_segments.path)
    assert reader.kept["image"].tolist() == [10] * 18 and reader.places["image"].tolist() == [36] * 18
    assert reader.kept["text"].tolist() == [3] * 18 and reader.places["text"].tolist() == [5] * 18
    assert reader.modality_bytes["image"].tolist() == [7680] * 18 and reader.payload_bytes.tolist() == [7692] * 18


def test_pickles_fork_and_threads(three_segments: ExemplarStore) -> None:
    reader = StoreReader(three_segments.path)
    expected = [reader.read(index).tokens for index in range(18)]
    again = pickle.loads(pickle.dumps(reader))  # noqa: S301
    assert [again.read(index).tokens for index in range(18)] == expected
    with ThreadPoolExecutor(4) as pool:
        assert [one.tokens for one in pool.map(reader.read, list(range(18)) * 5)] == expected * 5
    child = os.fork()
    if child == 0:
        os._exit(0 if [reader.read(index).tokens for index in range(18)] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_reader_keeps_its_generation(three_segments: ExemplarStore, encode_class: EncodeClass) -> None:
    reader = StoreReader(three_segments.path)
    before = [one.tokens for one in reader.read_many(range(18))]
    three_segments.commit(three_segments.plan(4, encode_class([4], 2, 4, exact=True)))
    assert len(reader) == 18 and [one.tokens for one in reader.read_many(range(18))] == before
    assert len(StoreReader(three_segments.path)) == 20
    with pytest.raises(StoreError, match="generation 3 is gone, the store is at 4"):
        pickle.loads(pickle.dumps(reader))  # noqa: S301


def test_modalities_may_be_missing_and_tokens_too(
    tmp_path: Path, make_exemplar: Make, exact_codecs: dict[str, Codec]
) -> None:
    exemplars = [
        make_exemplar(1, rank=0),
        make_exemplar(2, rank=1, with_image=False),
        make_exemplar(3, rank=2, words=0, kept=0),
        make_exemplar(4, rank=3, kept=36),
    ]
    exemplars[3] = replace(exemplars[3], tokens={"image": exemplars[3].tokens["image"]})
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=100_000, run_id="run")
    store.commit(store.plan(1, [encode(one, exact_codecs) for one in exemplars]))
    reader = StoreReader(store.path)
    assert [one.tokens for one in reader.read_many(range(4))] == [one.tokens for one in exemplars]
    assert reader.places["image"].tolist() == [36, 0, 36, 36] and reader.kept["text"].tolist() == [3, 3, 0, 0]


def test_a_store_may_hold_only_empty_tokens(
    tmp_path: Path, make_exemplar: Make, exact_codecs: dict[str, Codec]
) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=100_000, run_id="run")
    empty = make_exemplar(3, words=0, kept=0)
    store.commit(store.plan(1, [encode(empty, exact_codecs)]))
    assert StoreReader(store.path).read(0).tokens == empty.tokens


def test_an_empty_store_reads_as_nothing(tmp_path: Path) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=1_000, run_id="run")
    reader = StoreReader(store.path)
    assert len(reader) == 0 and reader.labels.dtype == np.int64 and reader.read_many([]) == []


def test_payloads_of_many_inner_chunks_and_shards(
    tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exemplar_store.segment_writer.INNER_CHUNK", 1_000)
    monkeypatch.setattr("exemplar_store.segment_writer.SHARD", 5_000)
    new = encode_class([0, 1], 4, exact=True, kept=3)
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=100_000, run_id="run")
    store.commit(store.plan(1, new))
    assert len(list((store.path / "segments").glob("*/payload/c/*"))) > 2
    reader = StoreReader(store.path)
    payloads = {(one.label, one.rank): one.payload for one in new}
    got = [segment.encoded(row) for segment in reader._segments for row in range(len(segment))]
    assert {(one.label, one.rank): one.payload for one in got} == payloads


def test_reading_all_goes_in_parts(three_segments: ExemplarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, parts = StoreReader(three_segments.path), []
    expected, read_many = reader.read_many(range(18)), reader.read_many

    def watched(indices: range) -> list[Exemplar]:
        parts.append(list(indices))
        return read_many(indices)

    monkeypatch.setattr("exemplar_store.reader.BATCH", 7)
    monkeypatch.setattr(reader, "read_many", watched)
    assert list(reader.read_all()) == expected and [len(part) for part in parts] == [7, 7, 4]

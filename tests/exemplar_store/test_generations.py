"""Older generations: kept, listed, compared, rolled back to and removed; compaction and eviction before admission."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from exemplar_store import (
    BudgetTooSmall,
    Communicator,
    Damaged,
    EncodedExemplar,
    ExemplarStore,
    StoreError,
    StoreReader,
    admission,
    disk,
    layout,
    verify,
)
from exemplar_store.history import difference, disk_usage, generation_log
from exemplar_store.maintenance import collect_garbage, roll_back

EncodeClass = Callable[..., list[EncodedExemplar]]
Bytes = Callable[[Path], int]
RunWriters = Callable[[int, Callable[[Communicator], object]], list[int]]
Held = list[tuple[int, int, int]]


def held(path: Path, generation: int | None = None) -> Held:
    reader = StoreReader(path, generation)
    for one in reader.read_many(range(len(reader))):
        assert one.tokens
    return list(zip(reader.labels.tolist(), reader.ranks.tolist(), reader.sample_ids.tolist(), strict=True))


@pytest.fixture
def kept_store(tmp_path: Path, encode_class: EncodeClass) -> ExemplarStore:
    """Four stages with a budget that binds; three generations stay."""
    store = ExemplarStore.create(tmp_path / "kept", budget_bytes=9_000, run_id="run", keep_generations=3)
    for stage in range(1, 5):
        store.commit(store.plan(stage, encode_class([stage], 4, stage), {stage: f"class-{stage}"}))
    return store


def test_the_last_generations_stay_readable(kept_store: ExemplarStore) -> None:
    assert [one["generation"] for one in generation_log(kept_store.path)] == [2, 3, 4]
    for number in (2, 3, 4):
        assert {label for label, _, _ in held(kept_store.path, number)} == set(range(1, number + 1))
    assert verify(kept_store.path, full=True).leftovers == []
    with pytest.raises(StoreError, match="generation 1 is gone"):
        StoreReader(kept_store.path, 1)


def test_only_the_head_counts_against_the_budget(kept_store: ExemplarStore, bytes_on_disk: Bytes) -> None:
    head, older, leftovers = disk_usage(kept_store.path)
    assert head["bytes"] == kept_store.used_bytes <= 9_000 and older["bytes"] > 9_000
    assert head["bytes"] + older["bytes"] == bytes_on_disk(kept_store.path)
    assert leftovers == {"part": "leftovers", "files": 0, "bytes": 0, "allocated": 0}
    assert head["allocated"] % 512 == 0 < head["allocated"]


def test_the_log_counts_what_changed(kept_store: ExemplarStore) -> None:
    records = generation_log(kept_store.path)
    assert [one["head"] for one in records] == [False, False, True]
    assert records[0]["added"] is records[0]["removed"] is None
    for before, after in pairwise(records):
        assert after["exemplars"] == before["exemplars"] + after["added"] - after["removed"]
        assert after["added"] > 0 < after["removed"]


def test_difference_by_class(kept_store: ExemplarStore) -> None:
    facts = difference(kept_store.path, 2, 4)
    old, new = set(held(kept_store.path, 2)), set(held(kept_store.path, 4))
    assert {(one["label"], one["rank"], one["sample_id"]) for one in facts["added"]} == new - old
    assert {(one["label"], one["rank"], one["sample_id"]) for one in facts["removed"]} == old - new
    assert [one["name"] for one in facts["by_class"]] == ["class-1", "class-2", "class-3", "class-4"]
    for one in facts["by_class"]:
        assert one["after"] == one["before"] + one["added"] - one["removed"]
    assert difference(kept_store.path, 3, 3)["added"] == []


def test_rolling_back_and_going_on(kept_store: ExemplarStore, encode_class: EncodeClass, bytes_on_disk: Bytes) -> None:
    then, now = held(kept_store.path, 3), held(kept_store.path)
    head = roll_back(kept_store.path, 3)
    assert (head.number, head.stages) == (5, (1, 2, 3)) and held(kept_store.path) == then != now
    store = ExemplarStore.open(kept_store.path)
    store.commit(store.plan(4, encode_class([4], 4, 4)))  # makes the very segment that generation 4 still holds
    assert held(store.path) == now and store.head.segments == kept_store.head.segments
    assert [one["generation"] for one in generation_log(store.path)] == [4, 5, 6]
    assert verify(store.path, full=True).problems == [] and verify(store.path).leftovers == []
    collect_garbage(store.path)
    assert sum(one["bytes"] for one in disk_usage(store.path)) == bytes_on_disk(store.path)


def test_a_damaged_head_can_be_left_behind(kept_store: ExemplarStore) -> None:
    then = held(kept_store.path, 3)
    head = kept_store.path / "generations/00000004.json"
    head.write_bytes(head.read_bytes()[:-1])
    with pytest.raises(Damaged, match=r"00000004\.json"):
        ExemplarStore.open(kept_store.path)
    assert generation_log(kept_store.path)[-1].keys() == {"generation", "head", "problem"}
    assert roll_back(kept_store.path, 3).number == 5
    assert held(kept_store.path) == then and verify(kept_store.path, full=True).problems == []


@pytest.mark.parametrize(
    ("number", "message"),
    [(1, "generation 1 is gone"), (4, "generation 4 is the head"), (9, "there is no generation 9")],
)
def test_generations_that_cannot_be_rolled_back_to(kept_store: ExemplarStore, number: int, message: str) -> None:
    before = sorted(kept_store.path.rglob("*"))
    with pytest.raises(StoreError, match=message):
        roll_back(kept_store.path, number)
    assert sorted(kept_store.path.rglob("*")) == before


def test_no_rolling_back_to_a_generation_without_its_segments(kept_store: ExemplarStore) -> None:
    gone = {one.name for one in StoreReader(kept_store.path, 3).snapshot.generation.segments}
    for name in gone - {ref.name for ref in kept_store.head.segments}:
        shutil.rmtree(kept_store.path / "segments" / name)
    with pytest.raises(Damaged, match="is missing"):
        roll_back(kept_store.path, 3)
    assert ExemplarStore.open(kept_store.path).head.number == 4


def test_rolling_back_never_exceeds_the_budget(tmp_path: Path, encode_class: EncodeClass) -> None:
    """The number of generation 10 has a digit more than that of generation 9."""
    exact = ExemplarStore.create(tmp_path / "exact", budget_bytes=9_999, run_id="run", keep_generations=2)
    for stage in range(1, 10):
        exact.commit(exact.plan(stage, encode_class([0], 2, 1) if stage == 8 else []))
    budget = StoreReader(exact.path, 8).snapshot.used_bytes
    tight = ExemplarStore.create(tmp_path / "tight", budget_bytes=budget, run_id="run", keep_generations=2)
    for stage in range(1, 9):
        tight.commit(tight.plan(stage, encode_class([0], 2, 1) if stage == 8 else []))
    assert tight.used_bytes == budget
    tight.commit(tight.plan(9, []))  # the second exemplar leaves: the list of stages has grown
    assert len(held(tight.path)) == 1
    with pytest.raises(StoreError, match=f"would take {budget + 1} bytes, budget_bytes is {budget}"):
        roll_back(tight.path, 8)


def test_damage_to_an_older_generation_is_reported(kept_store: ExemplarStore) -> None:
    assert verify(kept_store.path).older == [2, 3]
    of_head = {ref.name for ref in kept_store.head.segments}
    only_older = [path for path in (kept_store.path / "segments").iterdir() if path.name not in of_head]
    for path in (only_older[0] / "payload/c/0", kept_store.path / "generations/00000002.json"):
        good = path.read_bytes()
        path.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        (problem,) = verify(kept_store.path, full=True).problems[:1]
        assert str(path) in problem and problem.endswith("(of an older generation; the head is not concerned)")
        assert StoreReader(kept_store.path).read(0)
        path.write_bytes(good)
    assert verify(kept_store.path, full=True).problems == []


def test_nothing_that_exceeds_the_budget_is_committed(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    plan = small_store.plan(3, encode_class([3], 3, 3))
    before = sorted(small_store.path.rglob("*"))
    for evict_first in (False, True):
        with pytest.raises(BudgetTooSmall, match="generation 3 would take 14001 bytes, budget_bytes is 14000"):
            small_store.commit(replace(plan, total_bytes=14_001), evict_first=evict_first)
    assert sorted(small_store.path.rglob("*")) == before and small_store.head.number == 2


def test_a_plan_that_was_wrong_about_its_size_is_found_out(
    tmp_path: Path, encode_class: EncodeClass, bytes_on_disk: Bytes
) -> None:
    """What was written is measured again before it becomes the head."""
    small = ExemplarStore.create(tmp_path / "small", budget_bytes=5_000, run_id="run")
    large = ExemplarStore.create(tmp_path / "large", budget_bytes=50_000, run_id="run")
    plan = large.plan(1, encode_class([0], 9))
    lie = replace(plan, total_bytes=5_000, change=replace(plan.change, snapshot=small._shared.snapshot))
    with pytest.raises(BudgetTooSmall, match=r"generation 1 would take \d+ bytes, budget_bytes is 5000"):
        small.commit(lie)
    assert small.head.number == 0 and bytes_on_disk(small.path) == small.used_bytes


def test_evicting_first_does_nothing_for_a_stage_that_is_committed(
    kept_store: ExemplarStore, encode_class: EncodeClass
) -> None:
    plan = kept_store.plan(5, encode_class([5], 4, 5))
    assert plan.evicted > 0
    head = kept_store.commit(plan, evict_first=True)
    assert head.number > 5 and kept_store.commit(plan, evict_first=True) == head


def test_garbage_is_listed_before_it_is_removed(small_store: ExemplarStore, bytes_on_disk: Bytes) -> None:
    (small_store.path / "tmp" / "half.zarr").mkdir()
    (small_store.path / "tmp" / "half.zarr" / "zarr.json").write_text("{")
    (small_store.path / "segments" / "0009-000-0123456789ab.zarr").mkdir()
    expected = {"segments/0009-000-0123456789ab.zarr": 0, "tmp/half.zarr": 1}
    before = sorted(small_store.path.rglob("*"))
    assert collect_garbage(small_store.path, dry_run=True) == expected
    assert sorted(small_store.path.rglob("*")) == before
    assert collect_garbage(small_store.path) == expected
    assert collect_garbage(small_store.path) == {} and bytes_on_disk(small_store.path) == small_store.used_bytes


@pytest.fixture
def many_segments(tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch) -> ExemplarStore:
    monkeypatch.setattr(layout, "WRITER_BYTES", 0)  # every stage leaves a segment
    store = ExemplarStore.create(tmp_path / "many", budget_bytes=30_000, run_id="run")
    for stage in range(1, 5):
        store.commit(store.plan(stage, encode_class([stage], 3, stage), {stage: f"class-{stage}"}))
    assert len(store.head.segments) == 4
    monkeypatch.setattr(layout, "WRITER_BYTES", 1_000)
    return store


@pytest.mark.parametrize(("writers", "segments"), [(1, 1), (3, 3)])
def test_compaction_copies_bytes_into_fewer_segments(
    many_segments: ExemplarStore, run_writers: RunWriters, bytes_on_disk: Bytes, writers: int, segments: int
) -> None:
    path = many_segments.path
    before, used = held(path), many_segments.used_bytes
    payloads = {one.sample_id: one for reader in StoreReader(path)._segments for one in map(reader.encoded, range(3))}
    assert run_writers(writers, lambda group: ExemplarStore.open(path, communicator=group).compact()) == [0] * writers
    store = ExemplarStore.open(path)
    assert len(store.head.segments) == segments and store.used_bytes < used
    assert held(path) == before and bytes_on_disk(path) == store.used_bytes
    assert (store.head.stages, store.head.class_names) == (many_segments.head.stages, many_segments.head.class_names)
    for reader in StoreReader(path)._segments:
        for row in range(len(reader)):
            assert reader.encoded(row) == payloads[reader.encoded(row).sample_id]


@pytest.mark.parametrize("ids", [slice(1), slice(2, None, 2), slice(None)])
def test_what_is_forgotten_is_on_the_disk_no_more(kept_store: ExemplarStore, ids: slice) -> None:
    with closing(StoreReader(kept_store.path)) as reader:
        whole = {number: reader.encoded(index) for index, number in enumerate(reader.sample_ids.tolist())}
    gone, stages = set([*whole][ids]), kept_store.head.stages
    assert kept_store.forget(gone).stages == stages
    assert verify(kept_store.path, full=True).problems == []
    with closing(StoreReader(kept_store.path)) as reader:
        assert {reader.encoded(index) for index in range(len(reader))} == {whole[one] for one in whole.keys() - gone}
    left = b"".join(path.read_bytes() for path in kept_store.path.rglob("*") if path.is_file())
    assert [one for one in whole if whole[one].payload in left] == [one for one in whole if one not in gone]
    assert [path.name for path in (kept_store.path / "generations").iterdir()] == [f"{kept_store.head.number:08}.json"]
    with pytest.raises(StoreError, match=f"holds no exemplar of sample {min(gone)}; `exemplar-store ls`"):
        kept_store.forget(gone)


def test_nothing_to_compact(small_store: ExemplarStore) -> None:
    assert small_store.compact().number == 2


def peak_of(store: ExemplarStore, commit: Callable[[], object], bytes_on_disk: Bytes) -> int:
    """The most bytes that lie on disk during a commit."""
    peaks = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("publish", "rename"):
            step = getattr(disk, name)

            def measured(source: Path, target: Path, step: Callable[..., None] = step) -> None:
                peaks.append(bytes_on_disk(store.path))
                step(source, target)

            patch.setattr(disk, name, measured)
        commit()
    return max(peaks)


def test_evicting_first_needs_less_disk_and_ends_the_same(
    tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch, bytes_on_disk: Bytes
) -> None:
    for module in (layout, admission):
        monkeypatch.setattr(module, "WRITER_BYTES", 10_000)
    plain = ExemplarStore.create(tmp_path / "plain", budget_bytes=80_000, run_id="run")
    for stage in range(1, 5):
        plain.commit(plain.plan(stage, encode_class([stage], 12, stage, kept=18), {stage: str(stage)}))
    shutil.copytree(plain.path, tmp_path / "first")
    first = ExemplarStore.open(tmp_path / "first")
    assert len(first.head.segments) >= 4
    new, peaks = encode_class([5, 6], 12, 5, kept=18), []
    for store, evict_first in ((plain, False), (first, True)):
        plan = store.plan(5, new)
        assert plan.evicted > 0
        peaks.append(
            peak_of(
                store, lambda store=store, plan=plan, e=evict_first: store.commit(plan, evict_first=e), bytes_on_disk
            )
        )
        assert store.head.stages == (1, 2, 3, 4, 5) and bytes_on_disk(store.path) == store.used_bytes <= 80_000
    assert held(plain.path) == held(first.path)
    assert first.head.number > plain.head.number == 5
    assert peaks[0] > 120_000 and peaks[1] < 90_000


def test_evicting_first_with_many_writers(
    many_segments: ExemplarStore, encode_class: EncodeClass, run_writers: RunWriters
) -> None:
    path, new = many_segments.path, encode_class(range(10, 30), 3, 5)

    def write(group: Communicator) -> None:
        store = ExemplarStore.open(path, communicator=group)
        plan = store.plan(5, new[group.rank :: 2])
        assert plan.evicted > 0
        store.commit(plan, evict_first=True)

    assert run_writers(2, write) == [0, 0]
    assert verify(path, full=True).problems == [] and ExemplarStore.open(path).head.stages == (1, 2, 3, 4, 5)


def test_a_damaged_segment_of_an_older_generation_is_not_taken_for_the_new_one(
    kept_store: ExemplarStore, encode_class: EncodeClass
) -> None:
    now, name = held(kept_store.path), kept_store.head.segments[0].name
    roll_back(kept_store.path, 3)
    payload = kept_store.path / "segments" / name / "payload/c/0"
    payload.write_bytes(payload.read_bytes()[:-5] + b"flips")
    store = ExemplarStore.open(kept_store.path)
    store.commit(store.plan(4, encode_class([4], 4, 4)))  # makes the very segment that generation 4 still holds
    assert store.head.segments[0].name == name and held(store.path) == now
    assert verify(store.path, full=True).problems == [] == verify(store.path).leftovers


def test_rolling_back_stands_even_if_cleaning_up_fails(
    kept_store: ExemplarStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> None:
        if path.parent.name == "generations":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(disk, "remove", refuse)
    assert roll_back(kept_store.path, 3).number == 5
    assert "generation 5 is committed, but cleaning up failed" in caplog.text


def test_rolling_back_writes_nothing_through_a_link(kept_store: ExemplarStore, tmp_path: Path) -> None:
    (kept_store.path / "tmp").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "00000005.json").write_text("mine")
    (kept_store.path / "tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="tmp: is a symbolic link"):
        roll_back(kept_store.path, 3)
    assert (tmp_path / "elsewhere" / "00000005.json").read_text() == "mine"


def test_garbage_says_which_generation_it_gives_up(kept_store: ExemplarStore, caplog: pytest.LogCaptureFixture) -> None:
    older = kept_store.path / "generations" / "00000003.json"
    older.write_bytes(older.read_bytes()[:-1])
    listed = collect_garbage(kept_store.path, dry_run=True)
    assert "generations/00000003.json" in listed and older.exists()
    assert f"{older}: does not end in its checksum" in caplog.text and "is given up" in caplog.text
    assert collect_garbage(kept_store.path) == listed and verify(kept_store.path).problems == []

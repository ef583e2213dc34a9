"""Writing: the budget in true bytes, who stays and who goes, and that commits are repeatable."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exemplar_store import (
    BudgetTooSmall,
    CommitConflict,
    EncodedExemplar,
    ExemplarStore,
    StoreBusy,
    StoreError,
    StoreReader,
    WrongRun,
    disk,
    generations,
    layout,
    minimum_bytes,
)
from exemplar_store.admission import Planner
from exemplar_store.candidates import Candidate, in_order
from exemplar_store.generations import read_snapshot
from exemplar_store.layout import Change
from exemplar_store.outline import outline

EncodeClass = Callable[..., list[EncodedExemplar]]
Bytes = Callable[[Path], int]


def stored(store: ExemplarStore) -> list[tuple[int, int]]:
    reader = StoreReader(store.path)
    return list(zip(reader.ranks.tolist(), reader.labels.tolist(), strict=True))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(budget=st.integers(8_000, 40_000), kept=st.lists(st.integers(0, 36), min_size=2, max_size=4))
def test_every_byte_on_disk_is_counted_and_under_the_budget(
    tmp_path_factory: pytest.TempPathFactory,
    encode_class: EncodeClass,
    bytes_on_disk: Bytes,
    budget: int,
    kept: list[int],
) -> None:
    store = ExemplarStore.create(tmp_path_factory.mktemp("budget") / "store", budget_bytes=budget, run_id="run")
    for stage, patches in enumerate(kept, start=1):
        plan = store.plan(stage, encode_class([stage, stage + 10], 4, stage, kept=patches))
        store.commit(plan)
        assert bytes_on_disk(store.path) == store.used_bytes == plan.total_bytes <= budget


def test_one_more_exemplar_would_exceed_the_budget(tmp_path: Path, encode_class: EncodeClass) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=12_000, run_id="run")
    candidates = in_order([Candidate(outline(one)) for one in encode_class([0, 1, 2], 8)])
    planner = Planner(Change(read_snapshot(store.path), 1, {}), candidates)
    best = planner.largest()
    assert 0 < best.admitted < 24 and best.total_bytes <= 12_000
    assert planner.admission(best.admitted + 1).total_bytes > 12_000
    assert best == replace(store.plan(1, encode_class([0, 1, 2], 8)), mine=())


def test_low_ranks_of_every_class_stay_and_high_ranks_go(tmp_path: Path, encode_class: EncodeClass) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=14_000, run_id="run")
    store.commit(store.plan(1, encode_class([0, 1], 5)))
    store.commit(store.plan(2, encode_class([2, 3], 5, stage=2)))
    everyone = sorted((rank, label) for rank in range(5) for label in range(4))
    held = stored(store)
    assert held == everyone[: len(held)] and 4 < len(held) < 20


def test_admission_does_not_depend_on_the_order_of_arrival(tmp_path: Path, encode_class: EncodeClass) -> None:
    new = encode_class([0, 1, 2], 6)
    stores = [
        (ExemplarStore.create(tmp_path / name, budget_bytes=12_000, run_id="run"), order)
        for name, order in [("a", new), ("b", new[::-1]), ("c", new[7:] + new[:7])]
    ]
    heads = [store.commit(store.plan(1, order)) for store, order in stores]
    assert heads[0].segments == heads[1].segments == heads[2].segments  # checksums and all


def test_survivors_are_copied_never_coded_again(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    original = {one.order: one for one in [*encode_class([0, 1], 3), *encode_class([2], 3, stage=2)]}
    for stage in range(3, 7):
        small_store.commit(small_store.plan(stage, encode_class([stage], 2, stage, kept=3)))
    reader = StoreReader(small_store.path)
    survivors = [segment.encoded(row) for segment in reader._segments for row in range(len(segment))]
    old = [one for one in survivors if one.order in original]
    assert old and all(one.parts == original[one.order].parts for one in old)


def test_large_segments_stay_as_they_are(
    tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "WRITER_BYTES", 5_000)
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=60_000, run_id="run")
    first = store.commit(store.plan(1, encode_class([0, 1], 4))).segments[0]
    before = (store.path / "segments" / first.name / "payload/c/0").stat()
    head = store.commit(store.plan(2, encode_class([2], 4, stage=2)))
    assert head.segments[0] == first and len(head.segments) == 2
    after = (store.path / "segments" / first.name / "payload/c/0").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_small_segments_are_merged(small_store: ExemplarStore) -> None:
    assert len(small_store.head.segments) == 1 and small_store.head.number == 2


def test_a_stage_without_exemplars_writes_no_segment(small_store: ExemplarStore) -> None:
    segments = small_store.head.segments
    head = small_store.commit(small_store.plan(3, []))
    assert head.segments == segments and head.stages == (1, 2, 3)


def test_committing_a_stage_again_changes_nothing(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    plan = small_store.plan(3, encode_class([3], 1, stage=3))
    head = small_store.commit(plan)
    assert small_store.commit(plan) == head
    assert small_store.commit(small_store.plan(3, encode_class([9], 5, stage=3))) == head
    assert ExemplarStore.open(small_store.path, run_id="run-a").head == head


def test_one_exemplar_fits_its_minimum_and_not_a_byte_less(tmp_path: Path, encode_class: EncodeClass) -> None:
    one, names = encode_class([5], 1), {5: "drink"}
    needed = minimum_bytes(one[0], run_id="run", budget_bytes=9_999, class_names=names)
    fits = ExemplarStore.create(tmp_path / "fits", budget_bytes=needed, run_id="run")
    fits.commit(fits.plan(1, one, names))
    assert fits.used_bytes == needed and len(StoreReader(fits.path)) == 1
    tight = ExemplarStore.create(tmp_path / "tight", budget_bytes=needed - 1, run_id="run")
    with pytest.raises(BudgetTooSmall, match=rf"budget_bytes is {needed - 1}; .* takes {needed} bytes"):
        tight.plan(1, one, names)
    assert tight.head.number == 0


def test_the_minimum_counts_the_stages_of_the_run(tmp_path: Path, encode_class: EncodeClass) -> None:
    needed = minimum_bytes(encode_class([5], 1)[0], run_id="run", budget_bytes=9_999, stages=range(1, 13))
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=needed, run_id="run")
    for stage in range(1, 12):
        store.commit(store.plan(stage, []))
    store.commit(store.plan(12, encode_class([5], 1)))
    assert store.used_bytes == needed


@pytest.mark.parametrize("budget", [0, -1, 100])
def test_budgets_that_hold_nothing_make_no_store(tmp_path: Path, budget: int) -> None:
    with pytest.raises(BudgetTooSmall, match=f"budget_bytes is {budget}"):
        ExemplarStore.create(tmp_path / "store", budget_bytes=budget, run_id="run")
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_created_over_something_else(small_store: ExemplarStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="exists and is not empty"):
        ExemplarStore.create(small_store.path, budget_bytes=99_999, run_id="run")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="exists and is not empty"):
        ExemplarStore.create(tmp_path / "file", budget_bytes=99_999, run_id="run")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_of_another_run_is_refused(small_store: ExemplarStore) -> None:
    with pytest.raises(WrongRun, match="belongs to run 'run-a', not 'run-b'"):
        ExemplarStore.open(small_store.path, run_id="run-b")


def test_an_exemplar_cannot_be_added_twice(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    with pytest.raises(StoreError, match="sample 0 of class 0, stage 1, is given twice or is in the store already"):
        small_store.plan(3, [replace(encode_class([0], 1)[0], rank=9)])


def test_a_modality_keeps_its_number_of_sides(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    one = encode_class([3], 1, stage=3)[0]
    flat = replace(one, parts=tuple(replace(part, grid=(36,)) for part in one.parts))
    with pytest.raises(StoreError, match="modality 'image' has 1 sides, other exemplars have 2"):
        small_store.plan(3, [flat])


def test_the_second_of_two_committers_is_told(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    other = ExemplarStore.open(small_store.path)
    late = other.plan(4, encode_class([4], 1, stage=4))
    small_store.commit(small_store.plan(3, encode_class([3], 1, stage=3)))
    with pytest.raises(CommitConflict, match="plan stage 4 again"):
        other.commit(late)
    other.commit(other.plan(4, encode_class([4], 1, stage=4)))
    assert other.head.stages == (1, 2, 3, 4)


def test_a_generation_that_appears_in_the_last_moment_is_not_overwritten(
    small_store: ExemplarStore,
    encode_class: EncodeClass,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lock does not hold on every network filesystem; the exclusive link does."""
    publish = disk.publish

    def beaten(source: Path, target: Path) -> None:
        target.write_bytes(b"somebody else's")
        publish(source, target)

    monkeypatch.setattr(disk, "publish", beaten)
    with pytest.raises(CommitConflict, match="somebody else committed generation 3"):
        small_store.commit(small_store.plan(3, encode_class([3], 1, stage=3)))
    assert (small_store.path / "generations/00000003.json").read_bytes() == b"somebody else's"


def test_commits_wait_for_nobody(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    plan = small_store.plan(3, encode_class([3], 1, stage=3))
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with disk.exclusive(small_store.path / "store.json"):
            holding.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    try:
        with pytest.raises(StoreBusy, match="another process is committing"):
            small_store.commit(plan)
        assert ExemplarStore.open(small_store.path).head.number == 2  # opening does not need the lock
    finally:
        done.set()
        thread.join()
    assert small_store.commit(plan).number == 3


def test_opening_removes_what_a_crash_left(small_store: ExemplarStore, bytes_on_disk: Bytes) -> None:
    (small_store.path / "tmp" / "half.zarr").mkdir()
    (small_store.path / "tmp" / "half.zarr" / "zarr.json").write_text("{")
    (small_store.path / "segments" / "0009-000-0123456789ab.zarr").mkdir()
    (small_store.path / "generations" / "00000001.json").write_text("old")
    store = ExemplarStore.open(small_store.path)
    assert bytes_on_disk(store.path) == store.used_bytes
    assert len(list((store.path / "segments").iterdir())) == 1


def test_class_names_follow_the_classes(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    assert small_store.head.class_names == {0: "heart", 1: "tool", 2: "drink"}
    head = small_store.commit(small_store.plan(3, encode_class([3], 1, stage=3), {3: "Stück", 77: "not here"}))
    assert head.class_names[3] == "Stück" and 77 not in head.class_names


def test_stages_without_an_exemplar_do_not_outgrow_the_budget(tmp_path: Path) -> None:
    roomy = ExemplarStore.create(tmp_path / "roomy", budget_bytes=999, run_id="run")
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=roomy.used_bytes, run_id="run")
    with pytest.raises(BudgetTooSmall, match="stage 1 alone takes"):
        store.plan(1, [])
    assert ExemplarStore.open(store.path).head.number == 0


def test_what_no_reader_would_take_is_not_committed(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    """Else the memory would be lost: the old generation goes once the new one is there."""
    held = stored(small_store)
    one = encode_class([3], 1, stage=3)[0]
    nine_sides = replace(
        one, parts=tuple(replace(part, modality="x", grid=(*part.grid, *[1] * 7)) for part in one.parts[:1])
    )
    with pytest.raises(StoreError, match=r"could not be read again: .*modalities.*sides.*store is at generation 2"):
        small_store.commit(small_store.plan(3, [nine_sides]))
    assert stored(small_store) == held and list((small_store.path / "tmp").iterdir()) == []


def test_a_plan_for_another_store_is_refused(tmp_path: Path, encode_class: EncodeClass) -> None:
    stores = [ExemplarStore.create(tmp_path / name, budget_bytes=20_000, run_id="run") for name in "ab"]
    with pytest.raises(StoreError, match="stage 1 was planned for another store"):
        stores[1].commit(stores[0].plan(1, encode_class([0], 2)))
    assert ExemplarStore.open(stores[1].path).head.number == 0


def test_the_lock_is_one_that_network_filesystems_give(
    small_store: ExemplarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS turns flock into a lock of POSIX, and that is exclusive only on a file that is open for writing."""
    modes = []

    def as_on_nfs(descriptor: int, operation: int) -> None:
        modes.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(disk.fcntl, "flock", as_on_nfs)
    small_store.collect_garbage()
    assert modes == [os.O_RDWR]


def test_a_filesystem_without_locks_is_named(small_store: ExemplarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(disk.fcntl, "flock", missing)
    with pytest.raises(StoreError, match=r"store\.json: cannot be locked: Function not implemented"):
        small_store.collect_garbage()


def test_a_copy_without_empty_folders_is_cleaned(small_store: ExemplarStore) -> None:
    (small_store.path / "tmp").rmdir()
    (small_store.path / "segments" / "0009-000-0123456789ab.zarr").mkdir()
    assert len(list((ExemplarStore.open(small_store.path).path / "segments").iterdir())) == 1


def test_a_budget_that_the_format_cannot_hold_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="budget_bytes is more than"):
        ExemplarStore.create(tmp_path / "store", budget_bytes=1 << 63, run_id="run")
    assert list(tmp_path.iterdir()) == []


def test_a_head_that_is_superseded_while_it_is_looked_for(
    small_store: ExemplarStore, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits, and removes the old generation, between the listing and the reading."""
    listed = generations.generation_numbers

    def just_before(root: Path) -> list[int]:
        numbers = listed(root)
        if numbers == [2]:
            monkeypatch.setattr(generations, "generation_numbers", listed)
            other = ExemplarStore.open(root)
            other.commit(other.plan(3, encode_class([3], 1, stage=3)))
        return numbers

    monkeypatch.setattr(generations, "generation_numbers", just_before)
    assert read_snapshot(small_store.path).generation.number == 3

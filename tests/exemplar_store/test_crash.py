"""Commits that are killed or fail at any step leave the old generation or the new one, whole, and can be repeated."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exemplar_store import (
    Communicator,
    EncodedExemplar,
    ExemplarStore,
    StoreError,
    StoreReader,
    admission,
    disk,
    layout,
    verify,
)

EncodeClass = Callable[..., list[EncodedExemplar]]
Bytes = Callable[[Path], int]
Fork = Callable[[int, Callable[[Communicator], object]], list[int]]
STEPS = ("write_file", "sync_directory", "make_directory", "rename", "publish", "remove")


class Fuse:
    """Wraps the filesystem steps of `disk`; something else happens instead of step number `at`. Steps within steps
    count too, such as the one between a new name and its being durable.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, blow: Callable[[], None]) -> None:
        self.steps, self.at, self.blow = 0, at, blow
        for name in STEPS:
            monkeypatch.setattr(disk, name, self._wrap(getattr(disk, name)))

    def _wrap(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*args: Any) -> Any:
            self.steps += 1
            if self.steps == self.at:
                self.blow()
            return step(*args)

        return fused


def contents(path: Path) -> list[tuple[int, int, bytes]]:
    """Everything a store holds, through the reader, after a full verification."""
    found = verify(path, full=True)
    assert found.problems == []
    reader = StoreReader(path)
    return [
        (one.sample_id, one.label, one.tokens["image"].values.tobytes()) for one in reader.read_many(range(len(reader)))
    ]


def check_whole(path: Path, old: Any, new: Any, bytes_on_disk: Bytes) -> int:
    """The store holds exactly the old or the new generation; opening it leaves not a byte too many."""
    store = ExemplarStore.open(path, run_id="run-a")
    assert contents(path) == {2: old, 3: new}[store.head.number]
    assert bytes_on_disk(path) == store.used_bytes <= store.budget_bytes
    return store.head.number


@pytest.fixture
def old_and_new(small_store: ExemplarStore, encode_class: EncodeClass, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Contents before and after the commit of stage 3, and its plan."""
    old = contents(small_store.path)
    shutil.copytree(small_store.path, tmp_path / "reference")
    reference = ExemplarStore.open(tmp_path / "reference")
    plan = reference.plan(3, encode_class([3], 3, stage=3))
    reference.commit(plan)
    new = contents(reference.path)
    assert old != new
    return old, new, plan


def test_a_failing_disk_at_every_step(
    small_store: ExemplarStore, old_and_new: tuple[Any, Any, Any], tmp_path: Path, bytes_on_disk: Bytes
) -> None:
    old, new, plan = old_and_new

    def fail() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "payload")

    generations, at = [], 1
    while True:
        victim = tmp_path / f"step-{at}"
        shutil.copytree(small_store.path, victim)
        store = ExemplarStore.open(victim)
        with pytest.MonkeyPatch.context() as patch:
            fuse = Fuse(patch, at, fail)
            with suppress(StoreError):  # a failure after the commit, in cleaning up, is only logged
                store.commit(plan)
        if fuse.steps < at:
            break
        generations.append(check_whole(victim, old, new, bytes_on_disk))
        assert ExemplarStore.open(victim).commit(plan).number == 3  # repeating it works from either
        assert len(StoreReader(victim)) == len(new)
        at += 1
    assert at > 30 and {2, 3} == set(generations)
    assert generations == sorted(generations)


def test_a_full_disk_is_told_in_one_line(
    small_store: ExemplarStore, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    plan = small_store.plan(3, encode_class([3], 3, stage=3))
    monkeypatch.setattr(disk, "write_file", full)
    with pytest.raises(StoreError, match=r"^\S+: No space left on device; the store is at generation 2, "):
        small_store.commit(plan)
    assert list((small_store.path / "tmp").iterdir()) == []


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def test_killed_at_every_step(
    small_store: ExemplarStore, old_and_new: tuple[Any, Any, Any], tmp_path: Path, bytes_on_disk: Bytes
) -> None:
    old, new, plan = old_and_new
    generations, at = [], 1
    while True:
        victim = tmp_path / f"step-{at}"
        shutil.copytree(small_store.path, victim)

        def die_on_the_way(victim: Path = victim, at: int = at) -> None:
            Fuse(pytest.MonkeyPatch(), at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            ExemplarStore.open(victim).commit(plan)

        status = os.waitpid(in_child(die_on_the_way), 0)[1]
        generations.append(check_whole(victim, old, new, bytes_on_disk))
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        at += 1
    assert at > 30 and generations == sorted(generations) and {2, 3} == set(generations)


def test_killed_at_random_moments(small_store: ExemplarStore, encode_class: EncodeClass, bytes_on_disk: Bytes) -> None:
    """A writer commits stage after stage until it is shot; each time the store is whole and the next one goes on."""
    dice = random.Random(0)
    new = {stage: encode_class([stage], 2, stage) for stage in range(3, 400)}

    def write_on() -> None:
        store = ExemplarStore.open(small_store.path, run_id="run-a")
        for stage in range(store.head.number + 1, 400):
            store.commit(store.plan(stage, new[stage]))

    reached = []
    for _ in range(15):
        child = in_child(write_on)
        time.sleep(dice.uniform(0.05, 0.35))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert verify(small_store.path, full=True).problems == []
        store = ExemplarStore.open(small_store.path)
        assert bytes_on_disk(store.path) == store.used_bytes <= store.budget_bytes
        assert store.head.stages == tuple(range(1, store.head.number + 1))
        assert len(contents(store.path)) == sum(ref.exemplars for ref in store.head.segments) > 0
        reached.append(store.head.number)
    assert reached == sorted(reached) and reached[-1] > 3


def test_readers_and_a_writer_at_once(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    """A reader that opens the store while commits supersede generations gets one of them, whole."""
    new = {stage: encode_class([stage], 2, stage) for stage in range(3, 40)}

    def write_on() -> None:
        for stage, exemplars in new.items():
            small_store.commit(small_store.plan(stage, exemplars))

    child, seen = in_child(write_on), set()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        reader = StoreReader(small_store.path)
        assert len(reader.read_many(range(len(reader)))) == sum(
            ref.exemplars for ref in reader.snapshot.generation.segments
        )
        seen.add(reader.snapshot.generation.number)
        reader.close()
        assert verify(small_store.path).problems == []
    assert StoreReader(small_store.path).snapshot.generation.number == 39 and len(seen) > 5


def test_a_store_is_created_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1
    while True:
        path = tmp_path / f"step-{at}"

        def die_on_the_way(path: Path = path, at: int = at) -> None:
            Fuse(pytest.MonkeyPatch(), at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            ExemplarStore.create(path, budget_bytes=9_999, run_id="run")

        if os.waitpid(in_child(die_on_the_way), 0)[1] == 0:
            break
        if path.exists():
            assert verify(path, full=True).problems == []
        else:
            ExemplarStore.create(path, budget_bytes=9_999, run_id="run")
            assert list(tmp_path.glob(".*")) == []
        at += 1
    assert at > 8


@pytest.fixture
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few exemplars are worth a writer."""
    for module in (layout, admission):
        monkeypatch.setattr(module, "WRITER_BYTES", 2_500)


def summary_of(path: Path) -> list[tuple[int, int, int, bytes]]:
    """Everything a store holds, in order, after a full verification."""
    assert verify(path, full=True).problems == []
    segments = StoreReader(path)._segments
    exemplars = [segment.encoded(row) for segment in segments for row in range(len(segment))]
    return sorted((one.rank, one.label, one.sample_id, one.payload) for one in exemplars)


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("victim", [0, 1])
def test_one_of_two_writers_is_killed_at_every_step(
    tmp_path: Path, encode_class: EncodeClass, fork_writers: Fork, bytes_on_disk: Bytes, victim: int
) -> None:
    base = ExemplarStore.create(tmp_path / "base", budget_bytes=40_000, run_id="run-a")
    base.commit(base.plan(1, encode_class([1, 2], 5)))
    old, new = summary_of(base.path), encode_class([3, 4], 5, stage=2)
    shutil.copytree(base.path, tmp_path / "calm")
    calm = ExemplarStore.open(tmp_path / "calm")
    calm.commit(calm.plan(2, new))
    undisturbed = summary_of(calm.path)
    assert len(undisturbed) == 20
    outcomes, at = [], 1
    while True:
        path = tmp_path / f"step-{at}"
        shutil.copytree(base.path, path)

        def commit(group: Communicator, path: Path = path, at: int = at) -> None:
            if group.rank == victim:
                Fuse(pytest.MonkeyPatch(), at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            store = ExemplarStore.open(path, communicator=group)
            store.commit(store.plan(2, new[group.rank :: 2]))

        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in fork_writers(2, commit)]
        store = ExemplarStore.open(path)
        assert bytes_on_disk(path) == store.used_bytes <= 40_000
        assert summary_of(path) == {1: old, 2: undisturbed}[store.head.number]
        outcomes.append(store.head.number)
        store.commit(store.plan(2, new))
        assert summary_of(path) == undisturbed
        if codes == [0, 0]:
            break
        assert codes[victim] == -signal.SIGKILL and codes[1 - victim] in (0, 3)
        shutil.rmtree(path)
        at += 1
    assert at > 15 and outcomes == sorted(outcomes) and set(outcomes) == {1, 2}


@pytest.mark.usefixtures("small_shares")
def test_four_writers_killed_at_a_hundred_random_moments(
    tmp_path: Path, encode_class: EncodeClass, fork_writers: Fork, bytes_on_disk: Bytes
) -> None:
    """All four are shot, or one of them. What is there is always what an undisturbed run had at that stage, and the
    run goes on from there until it is complete.
    """
    stages = {stage: encode_class([stage, stage + 50], 5, stage) for stage in range(1, 9)}
    calm = ExemplarStore.create(tmp_path / "calm", budget_bytes=40_000, run_id="run")
    expected = [summary_of(calm.path)]
    for stage, new in stages.items():
        calm.commit(calm.plan(stage, new))
        expected.append(summary_of(calm.path))
    dice, kills, runs, interrupted = random.Random(0), 0, 0, set()
    while kills < 100:
        runs += 1
        path = tmp_path / f"run-{runs}"
        ExemplarStore.create(path, budget_bytes=40_000, run_id="run")

        def write_on(group: Communicator, path: Path = path) -> None:
            store = ExemplarStore.open(path, communicator=group)
            for stage in range(store.head.number + 1, len(stages) + 1):
                store.commit(store.plan(stage, stages[stage][group.rank :: 4]))

        while (store := ExemplarStore.open(path)).head.number < len(stages):
            children = fork_writers(4, write_on)
            time.sleep(dice.uniform(0.0, 0.5))
            victims = children if dice.random() < 0.5 else [dice.choice(children)]
            for child in victims:
                os.kill(child, signal.SIGKILL)
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            assert set(codes) <= {0, 3, -signal.SIGKILL}
            kills += -signal.SIGKILL in codes
            interrupted.add(store.head.number)
            store = ExemplarStore.open(path, run_id="run")
            assert bytes_on_disk(path) == store.used_bytes <= 40_000
            assert summary_of(path) == expected[store.head.number]
        assert store.head.stages == tuple(stages)
    assert len(interrupted) >= 6


def test_a_file_that_may_not_grow(small_store: ExemplarStore, encode_class: EncodeClass, bytes_on_disk: Bytes) -> None:
    """A real refusal of the system, in the middle of the largest file."""
    old = contents(small_store.path)
    plan = small_store.plan(3, encode_class([3], 3, stage=3))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
        with pytest.raises(StoreError, match=r"File too large; the store is at generation 2, stage 3 can be committed"):
            small_store.commit(plan)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert contents(small_store.path) == old and bytes_on_disk(small_store.path) == small_store.used_bytes
    assert small_store.commit(plan).number == 3


def test_the_head_is_durable_before_what_only_its_predecessor_needs_is_removed(
    small_store: ExemplarStore, encode_class: EncodeClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the one who opens the store after a crash between the link and its being durable."""

    sync = disk.sync_directory

    def die_between(path: Path) -> None:
        if path == generations:
            raise KeyboardInterrupt
        sync(path)

    plan = small_store.plan(3, encode_class([3], 3, stage=3))
    generations, steps = small_store.path / "generations", list[tuple[str, Path]]()
    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync_directory", die_between)
        with pytest.raises(KeyboardInterrupt):
            small_store.commit(plan)
    assert len(list(generations.iterdir())) == 2
    for name in ("sync_directory", "remove", "rename"):
        step = getattr(disk, name)

        def noted(path: Path, *more: Path, name: str = name, step: Callable[..., None] = step) -> None:
            steps.append((name, path))
            step(path, *more)

        monkeypatch.setattr(disk, name, noted)
    assert ExemplarStore.open(small_store.path).head.number == 3
    assert len(steps) > 3 and steps[0] == ("sync_directory", generations)

"""Many writers, one commit: nothing depends on how many there are, and they succeed together or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar_store import (
    CommitConflict,
    Communicator,
    EncodedExemplar,
    ExemplarStore,
    GroupBroken,
    StoreError,
    StoreReader,
    admission,
    layout,
    verify,
)

EncodeClass = Callable[..., list[EncodedExemplar]]
Bytes = Callable[[Path], int]
RunWriters = Callable[[int, Callable[[Communicator], object]], list[int]]

PROGRAM = """
import sys
from exemplar_store import Exemplar, ExemplarStore, Tokens, TokenIds, encode
import numpy as np

def write(path, group):
    tokens = Tokens.full(np.arange(5, dtype=np.int32), (5,))
    mine = [
        encode(Exemplar(number, number % 3, 1, number // 3, 0.5, {"text": tokens}), {"text": TokenIds(dtype="<u2")})
        for number in range(30)
        if number % group.world_size == group.rank
    ]
    store = ExemplarStore.open(path, communicator=group)
    assert store.commit(store.plan(1, mine)).number == 1
"""
OVER_TORCH = """
import os
import torch.distributed as dist

class Group:
    def __init__(self):
        dist.init_process_group("gloo")
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
    def gather(self, value):
        values = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

write(sys.argv[1], Group())
os._exit(0)  # gloo's threads may abort a process that ends in another way
"""
OVER_MPI = """
from mpi4py import MPI
from exemplar_store import MpiCommunicator
write(sys.argv[1], MpiCommunicator(MPI.COMM_WORLD))
"""


@pytest.fixture
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few exemplars are worth a writer."""
    for module in (layout, admission):
        monkeypatch.setattr(module, "WRITER_BYTES", 3_000)


def everything(path: Path) -> list[tuple[Any, ...]]:
    """All that a store holds, with values, after a full verification."""
    assert verify(path, full=True).problems == []
    reader = StoreReader(path)
    return [
        (one.rank, one.label, one.sample_id, one.stage, one.tokens["image"].values.tobytes())
        for one in reader.read_many(range(len(reader)))
    ]


def commit_stages(path: Path, stages: dict[int, list[EncodedExemplar]], group: Communicator) -> None:
    """Each process brings every so many-th exemplar."""
    store = ExemplarStore.open(path, communicator=group)
    for stage, new in stages.items():
        plan = store.plan(stage, new[group.rank :: group.world_size])
        head = store.commit(plan)
        assert (head.number, store.used_bytes) == (stage, plan.total_bytes)


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("budget", [30_000, 400_000])
def test_the_memory_does_not_depend_on_the_number_of_writers(
    tmp_path: Path, encode_class: EncodeClass, run_writers: RunWriters, bytes_on_disk: Bytes, budget: int
) -> None:
    stages = {stage: encode_class([stage, stage + 10], 8, stage, exact=stage == 2) for stage in range(1, 4)}
    memories, segments = [], []
    for writers in (1, 2, 4):
        path = tmp_path / str(writers)
        ExemplarStore.create(path, budget_bytes=budget, run_id="run")
        assert run_writers(writers, lambda group, path=path: commit_stages(path, stages, group)) == [0] * writers
        memories.append(everything(path))
        store = ExemplarStore.open(path)
        segments.append(len(store.head.segments))
        assert bytes_on_disk(path) == store.used_bytes <= budget
    assert memories[0] == memories[1] == memories[2]
    if budget == 400_000:
        assert len(memories[0]) == 48 and segments[0] < segments[1] <= segments[2]
    else:
        assert 4 < len(memories[0]) < 40


def test_little_is_written_by_one_process(tmp_path: Path, encode_class: EncodeClass, run_writers: RunWriters) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=99_999, run_id="run")
    stages = {1: encode_class([0, 1], 4)}
    assert run_writers(4, lambda group: commit_stages(tmp_path / "store", stages, group)) == [0] * 4
    assert len(ExemplarStore.open(tmp_path / "store").head.segments) == 1
    assert len(everything(tmp_path / "store")) == 8


def test_too_many_segments_for_the_budget_become_one(
    tmp_path: Path, encode_class: EncodeClass, run_writers: RunWriters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "WRITER_BYTES", 1)  # no allowance is set aside for what this makes
    ExemplarStore.create(tmp_path / "store", budget_bytes=16_000, run_id="run")
    stages = {1: encode_class([0, 1], 9)}
    assert run_writers(4, lambda group: commit_stages(tmp_path / "store", stages, group)) == [0] * 4
    store = ExemplarStore.open(tmp_path / "store")
    assert len(store.head.segments) == 1 and 14_000 < store.used_bytes <= 16_000


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("failing", [0, 2])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "payload"), "payload: No space left on device"),
        (MemoryError("too much"), "process {} failed: MemoryError: too much"),
    ],
)
def test_one_failing_writer_makes_the_whole_commit_vanish(
    tmp_path: Path,
    encode_class: EncodeClass,
    run_writers: RunWriters,
    bytes_on_disk: Bytes,
    failing: int,
    error: BaseException,
    message: str,
) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=400_000, run_id="run")
    for stage in (1, 2):
        store.commit(store.plan(stage, encode_class([stage], 3, stage=stage)))
    before, path, used = everything(store.path), store.path, store.used_bytes
    new = encode_class([3], 32, 3, exact=True)  # enough for every writer to have a share

    def write(group: Communicator) -> None:
        store = ExemplarStore.open(path, communicator=group)
        plan = store.plan(3, new[group.rank :: 4])
        with pytest.MonkeyPatch.context() as patch:
            if group.rank == failing:
                patch.setattr("exemplar_store.shared_head.write_segment", fail)
            own = group.rank == failing and isinstance(error, MemoryError)
            with pytest.raises(MemoryError if own else StoreError, match=None if own else message.format(failing)):
                store.commit(plan)
        if group.rank == 0:
            assert everything(path) == before and bytes_on_disk(path) == used
        group.gather(None)
        store.commit(plan)

    def fail(*_: object) -> None:
        raise error

    assert run_writers(4, write) == [0] * 4
    assert ExemplarStore.open(path).head.number == 3 and everything(path) != before


@pytest.mark.usefixtures("small_shares")
def test_all_of_a_second_group_are_told_and_lose_nothing(
    tmp_path: Path, encode_class: EncodeClass, run_writers: RunWriters
) -> None:
    path = tmp_path / "store"
    ExemplarStore.create(path, budget_bytes=400_000, run_id="run")

    def write(group: Communicator) -> None:
        store = ExemplarStore.open(path, communicator=group)
        mine = encode_class([group.rank], 4)
        late = store.plan(2, mine)
        if group.rank == 0:
            faster = ExemplarStore.open(path)
            faster.commit(faster.plan(1, encode_class([9], 4)))
        group.gather(None)
        with pytest.raises(CommitConflict, match="plan stage 2 again"):
            store.commit(late)
        store.commit(store.plan(2, mine))

    assert run_writers(2, write) == [0, 0]
    assert ExemplarStore.open(path).head.stages == (1, 2)
    assert sorted(np.unique(StoreReader(path).labels).tolist()) == [0, 1, 9]


def test_over_torch_distributed(tmp_path: Path) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=99_999, run_id="run")
    (tmp_path / "program.py").write_text(PROGRAM + OVER_TORCH)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*torchrun, tmp_path / "program.py", tmp_path / "store"], check=True, timeout=120)
    assert StoreReader(tmp_path / "store").sample_ids.tolist() == list(range(30))


def test_over_mpi(tmp_path: Path) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=99_999, run_id="run")
    (tmp_path / "program.py").write_text(PROGRAM + OVER_MPI)
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "4", sys.executable]
    subprocess.run([*mpirun, tmp_path / "program.py", tmp_path / "store"], check=True, timeout=120)
    assert StoreReader(tmp_path / "store").sample_ids.tolist() == list(range(30))


def test_exemplars_that_one_writer_cannot_make_are_told_to_all(tmp_path: Path, run_writers: RunWriters) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=99_999, run_id="run")

    def broken() -> Iterator[EncodedExemplar]:
        raise ValueError("no picture")
        yield

    def write(group: Communicator) -> None:
        store = ExemplarStore.open(tmp_path / "store", communicator=group)
        kind, message = (ValueError, "no picture") if group.rank else (StoreError, "process 1 failed: ValueError: no")
        with pytest.raises(kind, match=message):
            store.plan(1, broken() if group.rank else [])
        assert group.gather(group.rank) == [0, 1]  # nobody waits for a step that the other has left

    assert run_writers(2, write) == [0, 0]


@pytest.mark.usefixtures("small_shares")
def test_an_interrupted_writer_leaves_nobody_in_the_middle(
    tmp_path: Path, encode_class: EncodeClass, run_writers: RunWriters
) -> None:
    """It does not help to clean up, so the others must not expect it to."""
    path = tmp_path / "store"
    ExemplarStore.create(path, budget_bytes=400_000, run_id="run")
    new = encode_class([3], 32, 1, exact=True)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def write(group: Communicator) -> None:
        store = ExemplarStore.open(path, communicator=group)
        plan = store.plan(1, new[group.rank :: 2])
        with pytest.MonkeyPatch.context() as patch:
            if group.rank:
                patch.setattr("exemplar_store.shared_head.write_segment", interrupt)
            with pytest.raises(KeyboardInterrupt if group.rank else GroupBroken):
                store.commit(plan)
        assert group.gather(group.rank) == [0, 1]

    assert run_writers(2, write) == [0, 0]
    assert ExemplarStore.open(path).head.number == 0

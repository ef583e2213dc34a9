"""`ExemplarStore`: the writing side. One process or many write; every commit is all or nothing.

Every writer builds its segment under ``tmp/``, makes it durable and moves it to ``segments/``. When all have done so,
the first process creates the generation's file by a hard link, which fails if the name is taken. That link is the
commit: before it the old generation is whole, after it the new one is, and nothing that the old one needs is removed
until the link is durable.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from exemplar_store import disk
from exemplar_store.admission import Admission
from exemplar_store.communicator import Alone, Communicator, on_first, together
from exemplar_store.errors import BudgetTooSmall, StoreBusy, StoreError, WrongRun
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, empty_generation, new_info, read_snapshot, sealed_record
from exemplar_store.outline import Outline, outline
from exemplar_store.planning import compaction, eviction, removal, stage_admission
from exemplar_store.records import BudgetPolicy, Generation
from exemplar_store.shared_head import SharedHead
from exemplar_store.transaction import create_folder, remove_unreachable, told


class ExemplarStore:
    """A store open for writing, at its head.

    Make one with `create` or `open`. Read exemplars with `StoreReader`. With a communicator every method is called by
    all its processes together: they succeed together, or all of them get an error.
    """

    def __init__(self, snapshot: Snapshot, communicator: Communicator) -> None:
        self._shared = SharedHead(snapshot, communicator)

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        budget_bytes: int,
        run_id: str,
        policy: BudgetPolicy | None = None,
        keep_generations: int = 1,
    ) -> ExemplarStore:
        """A new empty store at generation 0, made by one process.

        Args:
            path: a folder that does not exist yet, or is empty.
            budget_bytes: limit for the size of all files that a generation needs; fixed for the store's life.
            run_id: the run that the store belongs to.
            policy: who goes first when not everything fits; best ranks of all classes if not given.
            keep_generations: how many generations stay on disk, the head included. Older ones can be compared and
                rolled back to; they take disk but do not count against the budget.

        Raises:
            BudgetTooSmall: the budget does not even hold an empty store.
            StoreError: the folder is in use, or the disk refuses.
        """
        root = Path(path).absolute()
        store_uuid = str(uuid.uuid4())
        if budget_bytes <= 0:
            raise BudgetTooSmall(f"budget_bytes is {budget_bytes}; it must be positive")
        if budget_bytes >= 1 << 63:
            raise StoreError("budget_bytes is more than 2^63 - 1, the largest number that a store holds")
        info = sealed_record(new_info(store_uuid, run_id, budget_bytes, policy, keep_generations))
        first = sealed_record(empty_generation(store_uuid))
        if len(info) + len(first) > budget_bytes:
            raise BudgetTooSmall(
                f"budget_bytes is {budget_bytes}; an empty store already takes {len(info) + len(first)} bytes"
            )
        with told(f"; the store {root} was not created"):
            if root.exists() and (not root.is_dir() or disk.names_in(root.resolve())):
                raise StoreError(f"{root}: exists and is not empty; open it, or give another folder")
            root.parent.mkdir(parents=True, exist_ok=True)
            create_folder(root, info, first)
        return cls(read_snapshot(root), Alone())

    @classmethod
    def open(
        cls, path: Path | str, *, run_id: str | None = None, communicator: Communicator | None = None
    ) -> ExemplarStore:
        """The store at ``path``, cleaned of what interrupted commits left behind.

        Args:
            run_id: if given, the run that the store must belong to.
            communicator: the processes that write together; this process alone if not given.

        Raises:
            NotAStore, UnsupportedFormat, Damaged: it cannot be read.
            WrongRun: it belongs to another run.
        """
        root = Path(path).absolute()
        group = communicator or Alone()
        snapshot = on_first(group, lambda: _read_for(root, run_id))
        store = cls(replace(snapshot, root=root), group)
        with suppress(StoreBusy):  # whoever is committing cleans up afterwards
            store.collect_garbage()
        return store

    @property
    def path(self) -> Path:
        return self._shared.snapshot.root

    @property
    def head(self) -> Generation:
        """The committed generation this store object is at."""
        return self._shared.snapshot.generation

    @property
    def budget_bytes(self) -> int:
        return self._shared.snapshot.info.budget_bytes

    @property
    def used_bytes(self) -> int:
        """Size of every file reachable from the head."""
        return self._shared.snapshot.used_bytes

    def plan(
        self,
        stage: int,
        add: Iterable[EncodedExemplar],
        class_names: Mapping[int, str] | None = None,
        smaller: Iterable[EncodedExemplar] = (),
    ) -> Admission:
        """Decide what the memory holds after ``stage``, without changing anything.

        The exemplars of the head and the new ones are put in the order of the store's policy, by default rank-major
        (rank, label, sample id, stage), and the longest prefix is taken whose bytes fit the budget. It does not depend
        on which process brings which exemplar, nor on how many processes there are. Only outlines are exchanged, a
        payload stays where it is.

        Args:
            add: the new exemplars that this process brings.
            class_names: names to store for class ids; those of classes in the head are remembered.
            smaller: exemplars of the head that this process brings with fewer tokens, as `shrunk` makes them. They take
                the places of what they were, and their ranks.

        Returns:
            The admission; for a stage that is committed already, one that changes nothing.

        Raises:
            BudgetTooSmall: not even one exemplar fits.
            StoreError: an exemplar is given twice or is in the store already, or a smaller one is no part of one there.
            Damaged: the head cannot be read.
        """
        mine: list[EncodedExemplar] = []
        shrunk: list[EncodedExemplar] = []

        def bring() -> tuple[list[Outline], list[Outline]]:
            mine.extend(add)
            shrunk.extend(smaller)
            return [outline(one) for one in mine], [outline(one) for one in shrunk]

        new, old = zip(*together(self._shared.group, bring), strict=True)
        names = class_names or {}
        admission = self._shared.on_first(lambda: stage_admission(self._shared.snapshot, stage, new, names, old))
        return replace(admission, mine=tuple(mine), smaller=tuple(shrunk))

    def commit(self, admission: Admission, *, evict_first: bool = False) -> Generation:
        """Make an admission the head. Does nothing if its stage is committed already.

        Args:
            evict_first: for a disk that does not hold the old and the new generation at once. First one segment after
                the other is freed of what leaves, each in a generation of its own and without keeping older ones; then
                the stage is planned again and committed. A crash in between leaves a smaller memory.

        Raises:
            CommitConflict: the head has moved on since the admission was planned.
            BudgetTooSmall: with ``evict_first``, a generation on the way would exceed the budget.
            StoreBusy: another process is committing.
            GroupBroken: a writer has died; open the store again with a new group.
            StoreError: a writer failed; the message says at which generation the store is.
        """
        change = admission.change
        if evict_first and change.stage is not None and change.stage not in self.head.stages:
            self._evict(admission)
            staying = {one.outline.order for one in admission.chosen}
            smaller = [one for one in admission.smaller if one.order in staying]
            admission = self.plan(change.stage, admission.mine, change.class_names, smaller)
        with self._shared.locked():
            if change.stage not in self.head.stages:
                self._shared.move_to(admission)
        return self.head

    def compact(self) -> Generation:
        """Copy all exemplars into as few segments as possible; none is coded again. Does nothing if that saves nothing.

        Raises:
            CommitConflict, StoreBusy, StoreError: as `commit`.
        """
        world_size = self._shared.group.world_size
        smaller = self._shared.on_first(lambda: compaction(self._shared.snapshot, world_size))
        return self.commit(smaller) if smaller.total_bytes < self.used_bytes else self.head

    def forget(self, sample_ids: Collection[int]) -> Generation:
        """Remove the exemplars of some samples, from the disk too: generations before the new head do not stay.

        Raises:
            StoreError: one of the samples has no exemplar in the head; nothing is removed then.
            CommitConflict, StoreBusy: as `commit`.
        """
        without = self._shared.on_first(lambda: removal(self._shared.snapshot, sample_ids))
        with self._shared.locked():
            self._shared.move_to(without, keep=1)
        return self.head

    def collect_garbage(self) -> None:
        """Remove everything that neither the head nor a generation that is kept needs.

        Raises:
            StoreBusy: another process is committing.
            StoreError: the disk refuses.
        """
        with self._shared.locked():
            self._shared.on_first(lambda: remove_unreachable(self._shared.snapshot))

    def _evict(self, admission: Admission) -> None:
        """Free the segments of the head of what an admission evicts, one after the other."""
        self._shared.check(admission)
        while step := self._shared.on_first(lambda: eviction(self._shared.snapshot, admission)):
            with self._shared.locked():
                self._shared.move_to(step, keep=1)


def _read_for(root: Path, run_id: str | None) -> Snapshot:
    snapshot = read_snapshot(root)
    if run_id is not None and snapshot.info.run_id != run_id:
        raise WrongRun(
            f"{root}: belongs to run {snapshot.info.run_id!r}, not {run_id!r}; give this run a store of its own"
        )
    return snapshot

"""`ExemplarStore`: the writing side. One process or many write; every commit is all or nothing.

Every writer builds its segment under ``tmp/``, makes it durable and moves it to ``segments/``. When all have done so,
the first process creates the generation's file by a hard link, which fails if the name is taken. That link is the
commit: before it the old generation is whole, after it the new one is, and nothing that the old one needs is removed
until the link is durable.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from exemplar_store import disk
from exemplar_store.admission import Admission, Planner
from exemplar_store.candidates import Candidate, held, in_order
from exemplar_store.communicator import Alone, Communicator, gathered, on_first, together
from exemplar_store.errors import BudgetTooSmall, CommitConflict, GroupBroken, StoreBusy, StoreError, WrongRun
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, empty_generation, new_info, read_snapshot, sealed_record
from exemplar_store.layout import Change, Layout
from exemplar_store.outline import Outline, outline
from exemplar_store.policy import by_policy
from exemplar_store.records import BudgetPolicy, Generation, SegmentRef
from exemplar_store.segment_writer import build_segment
from exemplar_store.transaction import (
    Order,
    create_folder,
    load,
    make_room,
    publish,
    remove_unreachable,
    told,
    write_segment,
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class ExemplarStore:
    """A store open for writing, at its head.

    Make one with `create` or `open`. Read exemplars with `StoreReader`. With a communicator every method is called by
    all its processes together: they succeed together, or all of them get an error.
    """

    def __init__(self, snapshot: Snapshot, communicator: Communicator) -> None:
        self._snapshot = snapshot
        self._communicator = communicator

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
        info = sealed_record(new_info(store_uuid, run_id, budget_bytes, policy, keep_generations))
        first = sealed_record(empty_generation(store_uuid))
        if len(info) + len(first) > budget_bytes:
            raise BudgetTooSmall(
                f"budget_bytes is {budget_bytes}; an empty store already takes {len(info) + len(first)} bytes"
            )
        with told(f"; the store {root} was not created"):
            if root.exists() and (not root.is_dir() or disk.names_in(root)):
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
        return self._snapshot.root

    @property
    def head(self) -> Generation:
        """The committed generation this store object is at."""
        return self._snapshot.generation

    @property
    def budget_bytes(self) -> int:
        return self._snapshot.info.budget_bytes

    @property
    def used_bytes(self) -> int:
        """Size of every file reachable from the head."""
        return self._snapshot.used_bytes

    def plan(
        self, stage: int, add: Iterable[EncodedExemplar], class_names: Mapping[int, str] | None = None
    ) -> Admission:
        """Decide what the memory holds after ``stage``, without changing anything.

        The exemplars of the head and the new ones are put in the order of the store's policy, by default rank-major
        (rank, label, sample id, stage), and the longest prefix is taken whose bytes fit the budget. It does not depend
        on which process brings which exemplar, nor on how many processes there are. Only outlines are exchanged, a
        payload stays where it is.

        Args:
            add: the new exemplars that this process brings.
            class_names: names to store for class ids; those of classes in the head are remembered.

        Returns:
            The admission; for a stage that is committed already, one that changes nothing.

        Raises:
            BudgetTooSmall: not even one exemplar fits.
            StoreError: an exemplar is given twice or is in the store already.
            Damaged: the head cannot be read.
        """
        mine: list[EncodedExemplar] = []

        def bring() -> list[Outline]:
            mine.extend(add)
            return [outline(one) for one in mine]

        outlines = together(self._communicator, bring)
        admission = on_first(self._communicator, lambda: self._admission(stage, outlines, class_names or {}))
        return replace(admission, mine=tuple(mine))

    def commit(self, admission: Admission, *, evict_first: bool = False) -> Generation:
        """Make an admission the head. Does nothing if its stage is committed already.

        Args:
            evict_first: for a disk that does not hold the old and the new generation at once. First one segment after
                the other is freed of what leaves, each in a generation of its own and without keeping older ones; then
                the stage is planned again and committed. A crash in between leaves a smaller memory.

        Raises:
            CommitConflict: the head has moved on since the admission was planned.
            StoreBusy: another process is committing.
            GroupBroken: a writer has died; open the store again with a new group.
            StoreError: a writer failed; the message says at which generation the store is.
        """
        change = admission.change
        if evict_first and admission.evicted and change.stage is not None:
            self._evict(admission)
            admission = self.plan(change.stage, admission.mine, change.class_names)
        with self._locked():
            if admission.change.stage in self.head.stages:
                return self.head
            self._check_base(admission)
            self._write(admission)
        return self.head

    def compact(self) -> Generation:
        """Copy all exemplars into as few segments as possible; none is coded again. Does nothing if that saves nothing.

        Raises:
            CommitConflict, StoreBusy, StoreError: as `commit`.
        """
        compaction = self._on_first(self._compaction)
        return self.commit(compaction) if compaction.total_bytes < self.used_bytes else self.head

    def collect_garbage(self) -> None:
        """Remove everything that neither the head nor a generation that is kept needs.

        Raises:
            StoreBusy: another process is committing.
            StoreError: the disk refuses.
        """
        with self._locked():
            self._on_first(lambda: remove_unreachable(self._snapshot))

    def _admission(self, stage: int, outlines: list[list[Outline]], class_names: Mapping[int, str]) -> Admission:
        change = Change(self._snapshot, stage, class_names)
        if stage in self.head.stages:
            return Admission(change, (), Layout(self.head.segments, ()), self.used_bytes, 0, 0, 0)
        new = [Candidate(one, holder=rank) for rank, share in enumerate(outlines) for one in share]
        candidates = by_policy(in_order([*held(self._snapshot), *new]), self._snapshot.info.policy)
        return Planner(change, candidates, self._communicator.world_size).largest()

    def _compaction(self) -> Admission:
        change = Change(self._snapshot, None, {})
        chosen = in_order(held(self._snapshot))
        return Planner(change, chosen, self._communicator.world_size).laid_out(chosen, ())

    def _check_base(self, admission: Admission) -> None:
        if self.head.number != admission.base:
            raise CommitConflict(
                f"{self.path}: generation {self.head.number} was committed after this one was planned on "
                f"{admission.base}; plan {admission.change} again"
            )

    def _evict(self, admission: Admission) -> None:
        """Free the segments of the head of what an admission evicts, one after the other."""
        self._check_base(admission)
        staying = {one.outline.order for one in admission.chosen}
        while True:
            step = self._on_first(lambda: self._eviction(staying))
            if step is None:
                return
            with self._locked():
                self._check_base(step)
                self._write(step, keep=1)

    def _eviction(self, staying: set[Order]) -> Admission | None:
        """The head without what leaves one of its segments; None if everything stays."""
        everything = held(self._snapshot)
        leaving = {one.segment for one in everything if one.segment and one.outline.order not in staying}
        if not leaving:
            return None
        name = min(leaving)
        chosen = in_order([one for one in everything if one.segment != name or one.outline.order in staying])
        kept = [ref for ref in self.head.segments if ref.name != name]
        return Planner(Change(self._snapshot, None, {}), chosen).laid_out(chosen, kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the writer's lock, on the first process, at the head as it is on disk."""
        with ExitStack() as lock:

            def take() -> Snapshot:
                lock.enter_context(disk.exclusive(self.path / "store.json"))
                return read_snapshot(self.path)

            self._advance(take)
            yield

    def _write(self, admission: Admission, keep: int | None = None) -> None:
        """All steps of a commit; if one fails anywhere, the store is cleaned of it.

        Args:
            keep: how many generations to keep, instead of what the store says.
        """
        try:
            self._on_first(lambda: make_room(self._snapshot, keep))
            segments = self._write_segments(admission)
            generation = admission.change.generation(admission.chosen, [*admission.layout.kept, *segments])
            self._on_first(lambda: publish(self.path, generation))
        except (CommitConflict, GroupBroken):  # a broken group cannot clean up together; the next open does
            raise
        except Exception as error:
            self._clean_up()
            if type(error) is not StoreError:
                raise
            raise StoreError(
                f"{error}; the store is at generation {self.head.number}, {admission.change} can be committed again"
            ) from error
        self._advance(lambda: read_snapshot(self.path))
        self._on_first(lambda: self._tidy(keep))

    def _write_segments(self, admission: Admission) -> list[SegmentRef]:
        """Every process writes its share. New exemplars go to whoever writes them."""
        rank = self._communicator.rank
        writer = {one.outline.order: number for number, share in enumerate(admission.layout.shares) for one in share}
        leaving = [one for one in admission.mine if writer.get(one.order, rank) != rank]
        parcels = gathered(self._communicator, leaving)
        new = {one.order: one for one in (*admission.mine, *(one for parcel in parcels for one in parcel))}

        def write() -> SegmentRef | None:
            share = admission.layout.shares[rank] if rank < len(admission.layout.shares) else ()
            if not share:
                return None
            exemplars = load(share, self._snapshot, new)
            segment = build_segment(exemplars, admission.change.segment_stage, rank)
            with told():
                write_segment(self.path, segment)
            return segment.ref

        return [ref for ref in together(self._communicator, write) if ref is not None]

    def _clean_up(self) -> None:
        """After a failure: is it the old generation or the new one, and a full disk gets its space back."""
        self._advance(lambda: read_snapshot(self.path))
        with suppress(StoreError):
            self._on_first(lambda: remove_unreachable(self._snapshot))

    def _tidy(self, keep: int | None) -> None:
        """The commit is made: if its predecessor cannot be removed now, it will be later."""
        try:
            remove_unreachable(self._snapshot, keep)
        except OSError as error:
            log.warning(
                "%s: generation %d is committed, but cleaning up failed: %s; the next open tries again",
                self.path,
                self.head.number,
                error,
            )

    def _advance(self, read: Callable[[], Snapshot]) -> None:
        """Take up a snapshot that the first process reads; the others may see older names in a shared folder."""
        self._snapshot = replace(self._on_first(read), root=self.path)

    def _on_first(self, work: Callable[[], T]) -> T:
        def step() -> T:
            with told():
                return work()

        return on_first(self._communicator, step)


def _read_for(root: Path, run_id: str | None) -> Snapshot:
    snapshot = read_snapshot(root)
    if run_id is not None and snapshot.info.run_id != run_id:
        raise WrongRun(
            f"{root}: belongs to run {snapshot.info.run_id!r}, not {run_id!r}; give this run a store of its own"
        )
    return snapshot

"""The head of a store as the processes that write it together see it, and how they move it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from exemplar_store import disk
from exemplar_store.admission import Admission
from exemplar_store.communicator import Communicator, gathered, on_first, together
from exemplar_store.errors import BudgetTooSmall, CommitConflict, GroupBroken, StoreError
from exemplar_store.generations import Snapshot, read_snapshot
from exemplar_store.records import SegmentRef
from exemplar_store.segment_writer import build_segment
from exemplar_store.transaction import (
    check_readable,
    load,
    publish,
    remove_unreachable,
    tidy,
    told,
    write_segment,
)

T = TypeVar("T")


class SharedHead:
    """The same snapshot on every process of a group. All of them call every method together.

    Attributes:
        snapshot: the store at its head, as of the last look at the disk.
        group: the processes.
    """

    def __init__(self, snapshot: Snapshot, group: Communicator) -> None:
        self.snapshot, self.group = snapshot, group

    @property
    def number(self) -> int:
        return self.snapshot.generation.number

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the writer's lock, on the first process, at the head as it is on disk.

        Raises:
            StoreBusy: another process is committing.
        """
        with ExitStack() as lock:

            def take() -> Snapshot:
                lock.enter_context(disk.exclusive(self.snapshot.root / "store.json"))
                return read_snapshot(self.snapshot.root)

            self._look(take)
            yield

    def move_to(self, admission: Admission, keep: int | None = None) -> None:
        """All steps of a commit, under the lock; if one fails anywhere, the store is cleaned of it.

        Args:
            keep: how many generations to keep, instead of what the store says.

        Raises:
            CommitConflict: the admission was planned on another head.
            BudgetTooSmall: it would exceed the budget.
            GroupBroken: a process has died.
            StoreError: a process failed; the message says at which generation the store is.
        """
        self.check(admission)
        try:
            self.on_first(lambda: remove_unreachable(self.snapshot, keep))  # an earlier try may have left some
            segments = self._write_segments(admission)
            generation = admission.change.generation(admission.chosen, [*admission.layout.kept, *segments])
            self.on_first(lambda: publish(self.snapshot, generation))
        except (CommitConflict, GroupBroken):  # a broken group cannot clean up together; the next open does
            raise
        except Exception as error:
            self._clean_up()
            if type(error) is not StoreError:
                raise
            raise StoreError(
                f"{error}; the store is at generation {self.number}, {admission.change} can be committed again"
            ) from error
        self._look(lambda: read_snapshot(self.snapshot.root))
        self.on_first(lambda: tidy(self.snapshot, keep))

    def on_first(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the first process; its result, or its error, on every process.

        Raises:
            StoreError: the disk refuses.
        """

        def step() -> T:
            with told():
                return work()

        return on_first(self.group, step)

    def check(self, admission: Admission) -> None:
        """That an admission may become the next head.

        Raises:
            StoreError: it was planned for another store.
            CommitConflict: it was planned on another head.
            BudgetTooSmall: it would exceed the budget.
        """
        root, budget = self.snapshot.root, self.snapshot.info.budget_bytes
        if admission.change.snapshot.info.uuid != self.snapshot.info.uuid:
            raise StoreError(f"{root}: {admission.change} was planned for another store; plan it with this one")
        if self.number != admission.base:
            raise CommitConflict(
                f"{root}: generation {self.number} was committed after this one was planned on "
                f"{admission.base}; plan {admission.change} again"
            )
        if admission.total_bytes > budget:
            raise BudgetTooSmall(
                f"{root}: generation {self.number + 1} would take {admission.total_bytes} bytes, budget_bytes is "
                f"{budget}; it was not committed"
            )

    def _write_segments(self, admission: Admission) -> list[SegmentRef]:
        """Every process writes its share. New exemplars go to whoever writes them."""
        rank = self.group.rank
        writer = {one.outline.order: number for number, share in enumerate(admission.layout.shares) for one in share}
        mine = (*admission.mine, *admission.smaller)
        leaving = [one for one in mine if writer.get(one.order, rank) != rank]
        parcels = gathered(self.group, leaving)
        new = {one.order: one for one in (*mine, *(one for parcel in parcels for one in parcel))}

        def write() -> SegmentRef | None:
            share = admission.layout.shares[rank] if rank < len(admission.layout.shares) else ()
            if not share:
                return None
            exemplars = load(share, self.snapshot, new)
            segment = build_segment(exemplars, admission.change.segment_stage, rank)
            with told():
                write_segment(self.snapshot.root, segment)
            check_readable(self.snapshot.root, segment.ref)
            return segment.ref

        return [ref for ref in together(self.group, write) if ref is not None]

    def _clean_up(self) -> None:
        """After a failure: is it the old generation or the new one, and a full disk gets its space back."""
        self._look(lambda: read_snapshot(self.snapshot.root))
        with suppress(StoreError):
            self.on_first(lambda: remove_unreachable(self.snapshot))

    def _look(self, read: Callable[[], Snapshot]) -> None:
        """Take up a snapshot that the first process reads; the others may see older names in a shared folder."""
        self.snapshot = replace(self.on_first(read), root=self.snapshot.root)

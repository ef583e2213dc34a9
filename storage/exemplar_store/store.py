"""`ExemplarStore`: the writing side. One process writes; every commit is all or nothing.

A commit builds its segment under ``tmp/``, makes it durable, moves it to ``segments/`` and then creates the
generation's file by a hard link, which fails if the name is taken. That link is the commit: before it the old
generation is whole, after it the new one is, and nothing that the old one needs is removed until the link is durable.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from exemplar_store import disk
from exemplar_store.admission import Admission, Candidate, Planner, empty_generation, in_order, new_info
from exemplar_store.errors import BudgetTooSmall, CommitConflict, StoreBusy, StoreError, WrongRun
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, generation_numbers, generation_path, read_snapshot, sealed_record
from exemplar_store.records import Generation
from exemplar_store.segment_reader import SegmentReader
from exemplar_store.segment_writer import Segment

log = logging.getLogger(__name__)


class ExemplarStore:
    """A store open for writing, at its head.

    Make one with `create` or `open`. Read exemplars with `StoreReader`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @classmethod
    def create(cls, path: Path | str, *, budget_bytes: int, run_id: str) -> ExemplarStore:
        """A new empty store at generation 0.

        Args:
            path: a folder that does not exist yet, or is empty.
            budget_bytes: limit for the size of all files that a generation needs; fixed for the store's life.
            run_id: the run that the store belongs to.

        Raises:
            BudgetTooSmall: the budget does not even hold an empty store.
            StoreError: the folder is in use, or the disk refuses.
        """
        root = Path(path).absolute()
        store_uuid = str(uuid.uuid4())
        if budget_bytes <= 0:
            raise BudgetTooSmall(f"budget_bytes is {budget_bytes}; it must be positive")
        info = sealed_record(new_info(store_uuid, run_id, budget_bytes))
        first = sealed_record(empty_generation(store_uuid))
        if len(info) + len(first) > budget_bytes:
            raise BudgetTooSmall(
                f"budget_bytes is {budget_bytes}; an empty store already takes {len(info) + len(first)} bytes"
            )
        with _told(f"the store {root} was not created"):
            if root.exists() and (not root.is_dir() or disk.names_in(root)):
                raise StoreError(f"{root}: exists and is not empty; open it, or give another folder")
            root.parent.mkdir(parents=True, exist_ok=True)
            _create_folder(root, info, first)
        return cls(read_snapshot(root))

    @classmethod
    def open(cls, path: Path | str, *, run_id: str | None = None) -> ExemplarStore:
        """The store at ``path``, cleaned of what interrupted commits left behind.

        Args:
            run_id: if given, the run that the store must belong to.

        Raises:
            NotAStore, UnsupportedFormat, Damaged: it cannot be read.
            WrongRun: it belongs to another run.
        """
        snapshot = read_snapshot(Path(path).absolute())
        if run_id is not None and snapshot.info.run_id != run_id:
            raise WrongRun(
                f"{snapshot.root}: belongs to run {snapshot.info.run_id!r}, not {run_id!r}; give this run "
                "a store of its own"
            )
        store = cls(snapshot)
        with suppress(StoreBusy), _told("the store was not cleaned"):  # whoever is committing cleans up afterwards
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

        The exemplars of the head and the new ones are put in rank-major order (rank, label, sample id, stage), which
        does not depend on who found them, and the longest prefix is taken whose exact bytes fit the budget. The whole
        memory is held in RAM meanwhile.

        Args:
            add: new exemplars.
            class_names: names to store for class ids; those of classes in the head are remembered.

        Returns:
            The admission; for a stage that is committed already, the head itself.

        Raises:
            BudgetTooSmall: not even one exemplar fits.
            StoreError: an exemplar is given twice or is in the store already.
            Damaged: the head cannot be read.
        """
        if stage in self.head.stages:
            return Admission(self.head.number, stage, self.head, None, self.used_bytes, 0, 0, 0)
        candidates = [Candidate(one, None) for one in add]
        for ref in self.head.segments:
            segment = SegmentReader(self.path, ref)
            candidates += [Candidate(one, ref.name) for one in segment]
            segment.close()
        return Planner(self._snapshot, stage, class_names or {}, in_order(candidates)).largest()

    def commit(self, admission: Admission) -> Generation:
        """Make an admission the head. Does nothing if its stage is committed already.

        Raises:
            CommitConflict: the head has moved on since the admission was planned.
            StoreBusy: another process is committing.
            StoreError: the disk refuses; the message says at which generation the store is.
        """
        with self._locked():
            if admission.stage in self.head.stages:
                return self.head
            if self.head.number != admission.base:
                raise CommitConflict(
                    f"{self.path}: generation {self.head.number} was committed after this one was "
                    f"planned on {admission.base}; plan stage {admission.stage} again"
                )
            try:
                self._write(admission)
            except OSError as error:
                self._snapshot = read_snapshot(self.path)
                with suppress(OSError):
                    self._remove_unreachable()  # a full disk gets its space back
                raise StoreError(
                    f"{error.filename or self.path}: {error.strerror}; the store is at generation "
                    f"{self.head.number}, stage {admission.stage} can be committed again"
                ) from error
            self._snapshot = read_snapshot(self.path)
            try:
                self._remove_unreachable()
            except OSError as error:
                log.warning(
                    "%s: generation %d is committed, but cleaning up failed: %s; the next open tries again",
                    self.path,
                    self.head.number,
                    error,
                )
        return self.head

    def collect_garbage(self) -> None:
        """Remove everything that the head does not need: older generations, their segments, unfinished files.

        Raises:
            StoreBusy: another process is committing.
            OSError: the disk refuses.
        """
        with self._locked():
            self._remove_unreachable()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with disk.exclusive(self.path / "store.json"):
            self._snapshot = read_snapshot(self.path)
            yield

    def _write(self, admission: Admission) -> None:
        self._remove_unreachable()  # a segment of the same name may be left from an earlier try
        for name in ("segments", "tmp"):  # copies of a store often leave empty folders out
            (self.path / name).mkdir(exist_ok=True)
        if admission.segment is not None:
            _write_segment(self.path, admission.segment)
        number = admission.generation.number
        unpublished = self.path / "tmp" / f"{number:08d}.json"
        disk.write_file(unpublished, sealed_record(admission.generation))
        try:
            disk.publish(unpublished, generation_path(self.path, number))
        except FileExistsError as error:
            raise CommitConflict(
                f"{self.path}: somebody else committed generation {number}; open the store again and plan again"
            ) from error

    def _remove_unreachable(self) -> None:
        for number in generation_numbers(self.path):
            if number != self.head.number:
                disk.remove(generation_path(self.path, number))
        live = {ref.name for ref in self.head.segments}
        for name in disk.names_in(self.path / "segments"):
            if name not in live:
                doomed = self.path / "tmp" / f"removed-{name}"
                disk.remove(doomed)
                disk.rename(self.path / "segments" / name, doomed)
        for name in disk.names_in(self.path / "tmp"):
            disk.remove(self.path / "tmp" / name)


def _create_folder(root: Path, info: bytes, first: bytes) -> None:
    """The store is born whole: it is built beside its place and renamed."""
    unfinished = root.parent / f".{root.name}.creating"
    disk.remove(unfinished)
    for folder in (unfinished, *(unfinished / name for name in ("generations", "segments", "tmp"))):
        disk.make_directory(folder)
    disk.write_file(unfinished / "store.json", info)
    disk.write_file(generation_path(unfinished, 0), first)
    disk.sync_directory(unfinished / "generations")
    disk.sync_directory(unfinished)
    disk.rename(unfinished, root)


def _write_segment(root: Path, segment: Segment) -> None:
    unfinished = root / "tmp" / segment.ref.name
    folders = sorted({parent for path in segment.files for parent in PurePosixPath(path).parents})
    for folder in folders:
        disk.make_directory(unfinished / folder)
    for path, data in segment.files.items():
        disk.write_file(unfinished / path, data)
    for folder in reversed(folders):
        disk.sync_directory(unfinished / folder)
    disk.rename(unfinished, root / "segments" / segment.ref.name)
    disk.sync_directory(root / "tmp")


@contextmanager
def _told(consequence: str) -> Iterator[None]:
    """Say a refusal of the disk in one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}; {consequence}") from error

"""The steps of a commit on disk. `ExemplarStore` says in which order, and on which process."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from exemplar_store import disk
from exemplar_store.candidates import Candidate
from exemplar_store.errors import BudgetTooSmall, CommitConflict, Damaged, StoreError
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, generation_numbers, generation_path, retained, sealed_record
from exemplar_store.records import Generation, SegmentRef
from exemplar_store.segment_reader import SegmentReader

if TYPE_CHECKING:
    from exemplar_store.segment_writer import Segment  # brings zarr, which those who only remove do not need

Order = tuple[int, int, int, int]

log = logging.getLogger(__name__)


@contextmanager
def told(consequence: str = "") -> Iterator[None]:
    """Say a refusal of the disk in one line.

    Raises:
        StoreError: in the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}{consequence}") from error


def create_folder(root: Path, info: bytes, first: bytes) -> None:
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


def load(share: Iterable[Candidate], snapshot: Snapshot, new: Mapping[Order, EncodedExemplar]) -> list[EncodedExemplar]:
    """The exemplars of a share with their payloads: old ones from their segments, checked, and new ones.

    Raises:
        Damaged: a payload is not what was written.
    """
    refs = {ref.name: ref for ref in snapshot.generation.segments}
    readers: dict[str, SegmentReader] = {}
    loaded = []
    try:
        for one in share:
            if one.segment is None:
                loaded.append(new[one.outline.order])
                continue
            if one.segment not in readers:
                readers[one.segment] = SegmentReader(snapshot.root, refs[one.segment])
            loaded.append(readers[one.segment].encoded(one.row))
    finally:
        for reader in readers.values():
            reader.close()
    return loaded


def write_segment(root: Path, segment: Segment) -> None:
    """Make a segment durable under its final name, where nothing refers to it yet.

    If it is there already an older generation that is kept holds it: the name says that it has the same content. Where
    that has been damaged since, it gives way to the new one.
    """
    final = root / "segments" / segment.ref.name
    if final.exists():
        if _holds(root, final, segment.files):
            return
        log.warning("%s: was damaged, and is written again", final)
        disk.rename(final, root / "tmp" / f"removed-{segment.ref.name}")
    unfinished = root / "tmp" / segment.ref.name
    folders = sorted({parent for path in segment.files for parent in PurePosixPath(path).parents})
    for folder in folders:
        disk.make_directory(unfinished / folder)
    for path, data in segment.files.items():
        disk.write_file(unfinished / path, data)
    for folder in reversed(folders):
        disk.sync_directory(unfinished / folder)
    disk.rename(unfinished, final)
    disk.sync_directory(root / "tmp")


def _holds(root: Path, directory: Path, files: Mapping[str, bytes]) -> bool:
    """Whether all files are there, byte for byte."""
    try:
        return all(
            disk.read_inside(root, directory / name, len(data), len(data)) == data for name, data in files.items()
        )
    except Damaged:
        return False


def check_readable(root: Path, ref: SegmentRef) -> None:
    """Open a segment that is to be committed: what no reader would take, such as too many codecs, is refused now.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        SegmentReader(root, ref).close()
    except StoreError as error:
        raise StoreError(f"the new segment could not be read again: {error}") from error


def publish(before: Snapshot, generation: Generation) -> None:
    """Make a generation the head. This is the commit, and the last look at the budget.

    Args:
        before: the store at any of its generations.

    Raises:
        BudgetTooSmall: what is reachable from the generation would exceed the budget.
        CommitConflict: there is a generation of this number.
    """
    root, budget, record = before.root, before.info.budget_bytes, sealed_record(generation)
    size = before.info_bytes + len(record) + sum(ref.bytes for ref in generation.segments)
    if size > budget:
        raise BudgetTooSmall(
            f"{root}: generation {generation.number} would take {size} bytes, budget_bytes is {budget}; "
            "it was not committed"
        )
    unpublished = root / "tmp" / f"{generation.number:08d}.json"
    make_folders(root)
    disk.remove(unpublished)
    disk.write_file(unpublished, record)
    try:
        disk.publish(unpublished, generation_path(root, generation.number))
    except FileExistsError as error:
        raise CommitConflict(
            f"{root}: somebody else committed generation {generation.number}; open the store again and plan again"
        ) from error


def unreachable(head: Snapshot, keep: int | None = None) -> list[Path]:
    """What neither the head nor a generation that is kept needs: older generations, segments, unfinished files.

    Args:
        keep: how many generations to keep, instead of what the store says.
    """
    root, kept = head.root, retained(head, keep).snapshots
    numbers = {one.generation.number for one in kept}
    segments = {ref.name for one in kept for ref in one.generation.segments}
    return [
        *(generation_path(root, number) for number in generation_numbers(root) if number not in numbers),
        *(root / "segments" / name for name in disk.names_in(root / "segments") if name not in segments),
        *(root / "tmp" / name for name in disk.names_in(root / "tmp")),
    ]


def warn_of_given_up(head: Snapshot, keep: int | None = None) -> None:
    """Older generations that are damaged are not kept: what they held cannot be known."""
    for error in retained(head, keep).damaged:
        log.warning("%s; this older generation is given up", error)


def remove_unreachable(head: Snapshot, keep: int | None = None) -> None:
    """Remove all that `unreachable` names, what refers to others first. A segment is gone at once or not at all.

    The head is made durable before: a crash may have come between its link and that.
    """
    warn_of_given_up(head, keep)
    make_folders(head.root)
    segments, tmp = head.root / "segments", head.root / "tmp"
    leaving = unreachable(head, keep)
    if leaving:
        disk.sync_directory(head.root / "generations")
    for path in leaving:
        if path.parent == segments:
            doomed = tmp / f"removed-{path.name}"
            disk.remove(doomed)
            disk.rename(path, doomed)
            disk.remove(doomed)
        else:
            disk.remove(path)


def tidy(head: Snapshot, keep: int | None = None) -> None:
    """After a commit: what cannot be removed now will be later, and the commit stands."""
    try:
        remove_unreachable(head, keep)
    except (OSError, StoreError) as error:
        log.warning(
            "%s: generation %d is committed, but cleaning up failed: %s; the next open tries again",
            head.root,
            head.generation.number,
            error,
        )


def make_folders(root: Path) -> None:
    """Make the folders that copies of a store often leave out when they are empty.

    Raises:
        Damaged: one is a symbolic link.
    """
    for path in (root / "segments", root / "tmp"):
        disk.refuse_link(path)
        path.mkdir(exist_ok=True)

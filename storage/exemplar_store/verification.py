"""Checking a store without trusting it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exemplar_store.disk import check_inside, names_in
from exemplar_store.errors import Damaged, StoreError
from exemplar_store.generations import Snapshot, read_snapshot
from exemplar_store.records import SegmentRef
from exemplar_store.segment_reader import SegmentReader, open_files
from exemplar_store.transaction import unreachable
from exemplar_store.zarr_arrays import SegmentFiles


@dataclass
class Verification:
    """What `verify` found.

    Attributes:
        generation: number of the head.
        files, bytes, exemplars: how much was checked.
        problems: one line per damage; empty if the store is whole.
        leftovers: what interrupted commits left behind: harmless, removed when the store is next opened for writing.
    """

    path: Path
    full: bool
    generation: int = -1
    files: int = 0
    bytes: int = 0
    exemplars: int = 0
    problems: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def verify(path: Path | str, full: bool = False) -> Verification:
    """Check every file that the head needs.

    Quick: the chain of checksums from the head to the list of every segment's files, each file's presence and size,
    and all metadata. Full: also every byte of every file, and that every exemplar decodes.

    Raises:
        NotAStore, UnsupportedFormat: there is nothing here that can be checked.
    """
    found = Verification(Path(path).absolute(), full)
    try:
        snapshot = read_snapshot(found.path)
    except Damaged as error:
        found.problems.append(str(error))
        return found
    found.generation, found.bytes, found.files = snapshot.generation.number, snapshot.used_bytes, 2
    if snapshot.used_bytes > snapshot.info.budget_bytes:
        found.problems.append(
            f"{found.path}: uses {snapshot.used_bytes} bytes, its budget is {snapshot.info.budget_bytes}"
        )
    for ref in snapshot.generation.segments:
        _verify_segment(found, ref)
    _list_strangers(found, snapshot)
    return found


def _verify_segment(found: Verification, ref: SegmentRef) -> None:
    try:
        files = open_files(found.path, ref)
    except StoreError as error:
        found.problems.append(str(error))
        return
    before = len(found.problems)
    _verify_files(found, files)
    if len(found.problems) == before:
        _verify_exemplars(found, ref)


def _verify_files(found: Verification, files: SegmentFiles) -> None:
    on_disk = {str(path.relative_to(files.directory)) for path in files.directory.rglob("*") if not path.is_dir()}
    found.files += len(files.entries) + 1
    for path in sorted(on_disk - files.entries.keys() - {"segment.json"}):
        found.problems.append(f"{files.directory / path}: does not belong to the segment; remove it")
    for path in sorted(files.entries):
        try:
            if found.full:
                files.read(path)
            else:
                check_inside(found.path, files.directory / path, files.size(path))
        except StoreError as error:
            found.problems.append(str(error))


def _verify_exemplars(found: Verification, ref: SegmentRef) -> None:
    try:
        segment = SegmentReader(found.path, ref)
    except StoreError as error:
        found.problems.append(str(error))
        return
    found.exemplars += len(segment)
    if found.full:
        for chunk in range(math.ceil(segment.payload.length / segment.payload.inner)):
            _note(found, segment.payload.read_checked, chunk)
        for row in range(len(segment)):
            _note(found, segment.decoded, row)
    segment.close()


def _note(found: Verification, check: Callable[[int], object], number: int) -> None:
    try:
        check(number)
    except StoreError as error:
        found.problems.append(str(error))


def _list_strangers(found: Verification, head: Snapshot) -> None:
    """What lies in the store's folder and is not reachable from a generation that is kept."""
    expected = {"store.json", "generations", "segments", "tmp"}
    found.problems += [
        f"{found.path / name}: does not belong to a store; move it elsewhere"
        for name in names_in(found.path)
        if name not in expected
    ]
    found.leftovers += [str(path.relative_to(found.path)) for path in unreachable(head)]

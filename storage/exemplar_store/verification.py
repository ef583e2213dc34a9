"""Checking a store without trusting it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exemplar_store.disk import check_inside, names_in
from exemplar_store.errors import Damaged, StoreError
from exemplar_store.generations import (
    Snapshot,
    generation_numbers,
    is_generation_file,
    read_info,
    read_snapshot,
    retained,
)
from exemplar_store.records import SegmentRef
from exemplar_store.segment_reader import SegmentReader, open_files
from exemplar_store.transaction import unreachable
from exemplar_store.zarr_arrays import SegmentFiles


@dataclass
class Verification:
    """What `verify` found.

    Attributes:
        generation: number of the head.
        older: numbers of older generations that the store keeps, which were checked too.
        files, bytes, exemplars: how much the head has that was checked.
        problems: one line per damage; empty if the store is whole.
        leftovers: what interrupted commits left behind: harmless, removed when the store is next opened for writing.
    """

    path: Path
    full: bool
    generation: int = -1
    older: list[int] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    exemplars: int = 0
    problems: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def verify(path: Path | str, full: bool = False) -> Verification:
    """Check every file that the head needs, or an older generation that the store keeps.

    Quick: the chain of checksums from the head to the list of every segment's files, each file's presence and size,
    and all metadata. Full: also every byte of every file, and that every exemplar decodes.

    Raises:
        NotAStore, UnsupportedFormat: there is nothing here that can be checked.
    """
    root = Path(path).absolute()
    while True:
        try:
            read_info(root)  # first of all: is it a store at all
            before = generation_numbers(root)
        except Damaged as error:
            return Verification(root, full, problems=[str(error)])
        found = _verified(root, full)
        if not found.problems or generation_numbers(root) == before:
            return found  # else a commit has removed what was being looked at


def _verified(root: Path, full: bool) -> Verification:
    found = Verification(root, full)
    try:
        head = read_snapshot(root)
    except Damaged as error:
        found.problems.append(str(error))
        return found
    found.generation, found.bytes, found.files = head.generation.number, head.used_bytes, 2
    if head.used_bytes > head.info.budget_bytes:
        found.problems.append(f"{root}: uses {head.used_bytes} bytes, its budget is {head.info.budget_bytes}")
    for ref in head.generation.segments:
        _verify_segment(found, ref)
    _verify_older(found, head)
    _list_strangers(found, head)
    return found


def _verify_older(found: Verification, head: Snapshot) -> None:
    """What older generations have beside the head."""
    kept, checked = retained(head), set(head.generation.segments)
    older = Verification(found.path, found.full, problems=[str(error) for error in kept.damaged])
    for snapshot in kept.snapshots[:-1]:
        found.older.append(snapshot.generation.number)
        for ref in snapshot.generation.segments:
            if ref not in checked:
                _verify_segment(older, ref)
        checked.update(snapshot.generation.segments)
    found.problems += [f"{problem} (of an older generation; the head is not concerned)" for problem in older.problems]


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
    # os.walk passes over a folder that a commit removes meanwhile, and Path.rglob does not: `verify` then looks again.
    names = (Path(folder) / name for folder, _, its in os.walk(files.directory) for name in its)
    on_disk = {str(path.relative_to(files.directory)) for path in names}
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
    expected, generations = {"store.json", "generations", "segments", "tmp"}, found.path / "generations"
    strangers = [found.path / name for name in names_in(found.path.resolve()) if name not in expected]
    strangers += [generations / name for name in names_in(generations) if not is_generation_file(name)]
    found.problems += [f"{path}: does not belong to a store; move it elsewhere" for path in strangers]
    try:
        found.leftovers += [str(path.relative_to(found.path)) for path in unreachable(head)]
    except StoreError as error:
        found.problems.append(str(error))

"""The folder of the runs: whether its filesystem has what the lock of a run and the store rely on."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dist_mcl.doctor.finding import Finding
from dist_mcl.units import size
from exemplar_store import StoreError
from exemplar_store.disk import exclusive, publish, write_file

_ELSEWHERE = "keep runs on another filesystem, with --run FOLDER"
# Another process, since locks of one process never exclude each other on NFS. It ends with 3 where it is kept out.
_TRY_LOCK = """
import sys
from pathlib import Path
from exemplar_store import StoreBusy
from exemplar_store.disk import exclusive
try:
    with exclusive(Path(sys.argv[1])):
        pass
except StoreBusy:
    sys.exit(3)
"""
_KEPT_OUT = 3
_IN_MEMORY = ("tmpfs", "ramfs")
_ON_ONE_MACHINE = (*_IN_MEMORY, "ext4", "xfs", "btrfs", "overlay", "zfs")
_LOCAL_LOCKS = ("localflock", "local_lock=flock", "local_lock=all")
_SLOW_SYNC, _CLOCKS_DIFFER, _LITTLE_SPACE = 0.05, 3.0, 1 << 30  # seconds, seconds, bytes


@dataclass(frozen=True)
class _Mount:
    type: str
    options: tuple[str, ...]


def folder(place: Path, is_shared: bool) -> Iterator[Finding]:
    """Try everything out in the folder, or the nearest one above it that is there.

    Args:
        is_shared: processes on several machines are to work in it.
    """
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".doctor-") as scratch:
            yield from _tried(there, Path(scratch))
    except OSError as error:
        yield Finding("folder", "missing", f"{there}: cannot be written: {error.strerror}", "name one with --folder")
        return
    yield from _mounted(there, is_shared)


def _tried(there: Path, scratch: Path) -> Iterator[Finding]:
    trials: dict[str, Callable[[Path], bool]] = {"hard links": _has_links, "locks": _has_locks}
    lost = [name for name, trial in trials.items() if not trial(scratch)]
    for name in lost:
        yield Finding("folder", "missing", f"{there}: its filesystem has no {name}, which a run needs", _ELSEWHERE)
    seconds = _sync_seconds(scratch)
    if seconds > _SLOW_SYNC:
        says = (
            f"{there}: to bring a file to the disk takes {1000 * seconds:.0f} ms, and a checkpoint several times that"
        )
        yield Finding("folder", "note", says, "have checkpoints less often: training.checkpoint")
    if (differ := _clock_difference(scratch)) > _CLOCKS_DIFFER:
        says = f"{there}: its clock and this machine's differ by {differ:.0f} s, which makes a lock look old or new"
        yield Finding("folder", "note", says, "keep clocks equal, with NTP")
    if not lost:
        free = size(shutil.disk_usage(there).free)
        says = f"{there}: hard links, locks and fsync ({1000 * seconds:.1f} ms) work; {free} free"
        yield Finding("folder", "fine", says)


def _has_links(scratch: Path) -> bool:
    """Whether a name can be given to a file if, and only if, nobody has taken it."""
    source, target = scratch / "source", scratch / "target"
    write_file(source, b"")
    try:
        publish(source, target)
        publish(source, target)
    except FileExistsError:
        return True
    except OSError:
        return False
    return False


def _has_locks(scratch: Path) -> bool:
    file = scratch / "lock"
    write_file(file, b"")
    try:
        with exclusive(file):
            return subprocess.run([sys.executable, "-c", _TRY_LOCK, file], check=False).returncode == _KEPT_OUT
    except StoreError:
        return False


def _sync_seconds(scratch: Path) -> float:
    taken = []
    for number in range(5):
        begun = time.perf_counter()
        write_file(scratch / f"synced-{number}", os.urandom(4096))
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _clock_difference(scratch: Path) -> float:
    file = scratch / "now"
    write_file(file, b"")
    return abs(time.time() - file.stat().st_mtime)


def _mounted(there: Path, is_shared: bool) -> Iterator[Finding]:
    if shutil.disk_usage(there).free < _LITTLE_SPACE:
        yield Finding("folder", "note", f"{there}: less than {size(_LITTLE_SPACE)} is free", "make room")
    mount = _mount(there)
    if mount.type in _IN_MEMORY:
        yield Finding("folder", "note", f"{there}: is in memory ({mount.type}), and gone after a restart", _ELSEWHERE)
    if is_shared and mount.type in _ON_ONE_MACHINE:
        says = f"{there}: is a filesystem of this machine ({mount.type}); the nodes of a run must share its folder"
        yield Finding("folder", "note", says, _ELSEWHERE)
    if is_shared and set(mount.options) & set(_LOCAL_LOCKS):
        says = f"{there}: is mounted such that locks hold on one node only ({mount.type})"
        yield Finding("folder", "note", says, "never write to a store from two nodes, or have it mounted with flock")


def _mount(there: Path) -> _Mount:
    """Of the filesystem that a folder lies on: the deepest mount above it, man 5 proc."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    above = [line for line in lines if there.resolve().is_relative_to(line[1].replace("\\040", " "))]
    _, _, kind, options, *_ = max(reversed(above), key=lambda line: len(line[1]))
    return _Mount(kind, tuple(options.split(",")))

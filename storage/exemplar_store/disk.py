"""Every touch of the filesystem that has to survive a crash, and every path that comes out of a file."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exemplar_store.errors import Damaged, StoreBusy, StoreError

MAX_METADATA = 64 << 20  # bytes; no JSON file of a store comes near


def write_file(path: Path, data: bytes) -> None:
    """Create ``path`` (which must not exist) with ``data``, on the disk when this returns."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: without it a new file may be gone after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    path.mkdir()


def rename(source: Path, target: Path) -> None:
    """Move a finished directory to its final name and make that durable."""
    source.rename(target)
    sync_directory(target.parent)


def publish(source: Path, target: Path) -> None:
    """Give a finished file its final name, if and only if nobody else has taken it.

    Raises:
        FileExistsError: somebody else was first.
    """
    target.hardlink_to(source)
    sync_directory(target.parent)


def remove(path: Path) -> None:
    """Remove a file or a whole directory."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the only writer's lock of a store, an advisory lock on ``path`` that dies with its process.

    Raises:
        StoreBusy: another process holds it.
        StoreError: the filesystem has no such locks.
    """
    descriptor = os.open(path, os.O_RDWR)  # NFS locks exclusively only what is open for writing
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy(f"{path.parent}: another process is committing to this store; wait for it") from error
        except OSError as error:
            raise StoreError(f"{path}: cannot be locked: {error.strerror}; use a filesystem with flock") from error
        yield
    finally:
        os.close(descriptor)


def check_inside(root: Path, path: Path, size: int | None = None) -> int:
    """Size in bytes of a regular file inside ``root`` whose path came out of a file.

    Raises:
        Damaged: it is missing, is not a regular file, lies outside (a symbolic link), or has not ``size`` bytes.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged(f"{path}: is missing") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Damaged(f"{path}: is not a regular file")
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise Damaged(f"{path}: leads outside the store through a symbolic link")
    if size is not None and status.st_size != size:
        raise Damaged(f"{path}: has {status.st_size} bytes, {size} are recorded; it was cut short or changed")
    return status.st_size


def read_inside(root: Path, path: Path, size: int | None = None, limit: int = MAX_METADATA) -> bytes:
    """The bytes of a file inside ``root``, after the checks of `check_inside`.

    Raises:
        Damaged: as `check_inside`, or it has more than ``limit`` bytes.
        StoreError: it cannot be read.
    """
    if check_inside(root, path, size) > limit:
        raise Damaged(f"{path}: has {path.stat().st_size} bytes, more than the {limit} that such a file may have")
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def refuse_link(folder: Path) -> None:
    """A store's folder may be no link: what is removed or written there would be somebody else's.

    Raises:
        Damaged: it is one.
    """
    if folder.is_symlink():
        raise Damaged(f"{folder}: is a symbolic link; a store's folders are inside it")


def names_in(directory: Path) -> list[str]:
    """Sorted names in a directory; none if it does not exist.

    Raises:
        Damaged: it is a symbolic link or no directory.
        StoreError: it cannot be listed.
    """
    refuse_link(directory)
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise Damaged(f"{directory}: is not a directory") from error
    except OSError as error:
        raise StoreError(f"{directory}: {error.strerror}") from error


def usage(path: Path) -> tuple[int, int, int]:
    """Bytes, allocated bytes (blocks of 512) and number of the files in a folder, or of one file."""
    files = [path] if not path.is_dir() else [file for file in path.rglob("*") if not file.is_dir()]
    status = [file.lstat() for file in files]
    return sum(one.st_size for one in status), sum(512 * one.st_blocks for one in status), len(files)

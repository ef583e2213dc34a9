"""Get pinned packages by name with their registry's own client, check them, and read single files out of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dist_mcl.errors import UserError

CLIENTS = {
    "npm": ("npm", "pack", "--silent", "{name}@{version}"),
    "debian": ("apt-get", "download", "-q", "{name}={version}"),
    "pypi": (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-input", "{name}=={version}"),
}
_HINTS = {
    "npm": "install Node.js with npm, and check the network",
    "debian": "run `apt-get update` as root on Debian 12, and check the network",
    "pypi": "check that this Python has pip, and the network",
}
ARCHIVE_SUFFIX = {"npm": ".tgz", "debian": ".deb", "pypi": ".whl"}


@dataclass(frozen=True)
class Package:
    """One archive of a registry, pinned by version and content.

    Attributes:
        size: of the archive in bytes, to show how far a download is; 0 where nobody looks.
    """

    registry: Literal["npm", "debian", "pypi"]
    name: str
    version: str
    sha256: str
    size: int = 0

    @property
    def archive(self) -> str:
        """File name under which the archive is kept."""
        plain = f"{self.name}-{self.version}".replace("/", "-").replace(":", "-")
        return plain.lstrip("@") + ARCHIVE_SUFFIX[self.registry]


def cache_folder() -> Path:
    """Where downloads and models are kept: `DIST_MCL_CACHE`, or `~/.cache/dist-mcl`."""
    chosen = os.environ.get("DIST_MCL_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "dist-mcl"


def download(package: Package, folder: Path, progress: Callable[[int], None] = lambda size: None) -> Path:
    """Get a package's archive into `folder`; one that is there already is used as it is.

    An archive appears under its name only when it is complete and its SHA-256 is right.

    Args:
        progress: called now and then with the number of bytes that have come.

    Raises:
        UserError: the registry's client is missing or fails, or the content is not the pinned one.
    """
    target = folder / package.archive
    if target.exists():
        return target
    _make_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        got = _call_client(package, Path(scratch), progress)
        _check(package, got)
        got.replace(target)
    return target


def read_members(archive: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Read files out of an archive by their exact names; nothing is unpacked to disk.

    Args:
        archive: .tgz, .deb or .whl file.
        wanted: names as the archive spells them, without a leading "./".

    Raises:
        UserError: the archive is damaged or lacks one of the files, or a .deb is read where dpkg is not installed.
    """
    found = dict(iter_members(archive, set(wanted).__contains__))
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise UserError(f"{archive}: {', '.join(missing)} not in the package; delete the file and run again")
    return found


def iter_members(archive: Path, accept: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files whose name `accept` takes, in the archive's order; a link counts as its target.

    Raises:
        UserError: the archive is damaged, or a .deb is read where dpkg is not installed.
    """
    try:
        yield from _members(archive, accept)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{archive}: not a readable archive; delete the file and run again") from error


def _call_client(package: Package, scratch: Path, progress: Callable[[int], None]) -> Path:
    command = [part.format(name=package.name, version=package.version) for part in CLIENTS[package.registry]]
    what = f"{package.name} {package.version}"
    if shutil.which(command[0]) is None:
        raise UserError(f"{what}: {command[0]} is not installed; {_HINTS[package.registry]}")
    got, arriving, said = scratch / "got", scratch / "arriving", scratch / "said"
    got.mkdir()
    arriving.mkdir()
    environment = {**os.environ, "TMPDIR": str(arriving)}  # where pip lets a file grow
    with said.open("w+", encoding="utf-8", errors="replace") as output:
        client = subprocess.Popen(command, cwd=got, env=environment, stdout=output, stderr=output)
        while _is_running(client):
            progress(_size(got) + _size(arriving))
    files = list(got.iterdir())
    if client.returncode or len(files) != 1:
        lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {client.returncode}"
        raise UserError(f"{what}: {' '.join(command)} failed: {why}; {_HINTS[package.registry]}")
    return files[0]


def _is_running(client: subprocess.Popen[bytes]) -> bool:
    try:
        client.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return True
    except BaseException:
        client.kill()
        client.wait()
        raise
    return False


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it was moved in between
            total += path.lstat().st_size
    return total


def _check(package: Package, path: Path) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != package.sha256:
        raise UserError(
            f"{package.name} {package.version}: downloaded file has sha256 {digest}, expected {package.sha256}; "
            "the package has been changed since it was pinned, it is not used"
        )


def _members(archive: Path, accept: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in filter(accept, wheel.namelist()):
                yield name, wheel.read(name)
    elif archive.suffix == ".deb":
        with tarfile.open(fileobj=io.BytesIO(_deb_files(archive))) as tar:
            yield from _tar_members(tar, accept)
    else:
        with tarfile.open(archive) as tar:
            yield from _tar_members(tar, accept)


def _tar_members(tar: tarfile.TarFile, accept: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        name = member.name.removeprefix("./")
        if (member.isfile() or member.issym()) and accept(name):
            stream = tar.extractfile(member)
            assert stream is not None  # a file, or a link to one, always has content
            yield name, stream.read()


def _deb_files(archive: Path) -> bytes:
    if shutil.which("dpkg-deb") is None:
        raise UserError(f"{archive.name}: dpkg-deb is not installed; {_HINTS['debian']}")
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UserError(f"{archive}: not a readable Debian package ({said}); delete the file and run again")
    return done.stdout


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make the folder: {error.strerror}; set DIST_MCL_CACHE") from error

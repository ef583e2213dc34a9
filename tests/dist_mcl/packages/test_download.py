import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from dist_mcl.errors import UserError
from dist_mcl.packages import download as downloads
from dist_mcl.packages.download import Package, cache_folder, download, read_members


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A registry whose client is `cp`: package names are paths."""
    source = tmp_path / "source.bin"
    source.write_bytes(b"content")
    monkeypatch.setitem(downloads.CLIENTS, "npm", ("cp", "{name}", "."))
    return Package("npm", str(source), "1", hashlib.sha256(b"content").hexdigest())


def test_a_package_is_downloaded_once(registry: Package, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    archive = download(registry, folder)
    assert archive.read_bytes() == b"content" and list(folder.iterdir()) == [archive]
    Path(registry.name).unlink()
    assert download(registry, folder) == archive


def test_changed_content_is_refused_and_not_kept(registry: Package, tmp_path: Path) -> None:
    Path(registry.name).write_bytes(b"other content")
    with pytest.raises(UserError, match=r"expected .*; the package has been changed"):
        download(registry, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_failing_client_is_quoted_with_the_mend(registry: Package, tmp_path: Path) -> None:
    Path(registry.name).unlink()
    with pytest.raises(UserError, match=r"failed: cp: .*No such file.*; install Node\.js with npm, and check"):
        download(registry, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_archive_names_have_no_folders() -> None:
    assert Package("npm", "@iconify-json/noto", "1.2.9", "").archive == "iconify-json-noto-1.2.9.tgz"
    assert Package("debian", "palapeli-data", "4:22.12.3-1", "").archive == "palapeli-data-4-22.12.3-1.deb"


def test_members_are_read_by_exact_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        for name in ("package/a.json", "../a.json", "package/b.json"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("package/a.json", "package/a.json")
    for archive in (tmp_path / "a.tgz", tmp_path / "a.whl"):
        assert read_members(archive, ["package/a.json"]) == {"package/a.json": b"package/a.json"}
        with pytest.raises(UserError, match=r"c\.json not in the package"):
            read_members(archive, ["package/a.json", "c.json"])


@pytest.mark.parametrize("name", ["a.tgz", "a.whl"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b but not an archive")
    with pytest.raises(UserError, match=rf"{name}: not a readable archive; delete the file and run again"):
        read_members(tmp_path / name, ["a.json"])


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb (Debian)")
def test_members_of_a_debian_package(tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n")
    (tmp_path / "tree" / "usr").mkdir()
    (tmp_path / "tree" / "usr" / "a.jpg").write_bytes(b"a")
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", tmp_path / "p.deb"], check=True, capture_output=True)
    assert read_members(tmp_path / "p.deb", ["usr/a.jpg"]) == {"usr/a.jpg": b"a"}
    (tmp_path / "p.deb").write_bytes(b"not a package")
    with pytest.raises(UserError, match=r"p\.deb: not a readable Debian package"):
        read_members(tmp_path / "p.deb", ["usr/a.jpg"])


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DIST_MCL_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "dist-mcl"

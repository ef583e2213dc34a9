"""Every command on every kind of bad store: one line that names the file, the right exit code, and nothing changes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exemplar_store import ExemplarStore, StoreError, StoreReader
from exemplar_store.cli import DAMAGED, REFUSED, main
from exemplar_store.generations import generation_path
from exemplar_store.records import seal, unseal

NOBODY = 65534
CHAIN = ("", "segment.json", "zarr.json", "table/c/0/0", "payload/c/0")  # of a segment, in the order of reading
COMMANDS = (["info"], ["ls"], ["show", "0"], ["show", "--grid"], ["bench", "--seconds", "0.1"])


def edit(path: Path, **fields: Any) -> None:
    """Change members of a sealed file and seal it again."""
    record = unseal(path.read_bytes(), "") | fields
    path.write_bytes(seal({name: value for name, value in record.items() if name != "crc32c"}))


def head(store: Path) -> Path:
    return generation_path(store, 2)


def segment(store: Path) -> Path:
    (found,) = (store / "segments").iterdir()
    return found


def refer(store: Path, **fields: Any) -> None:
    """Change what the head says of its segment."""
    (ref,) = unseal(head(store).read_bytes(), "")["segments"]
    edit(head(store), segments=[ref | fields])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


# what is done to the store, the exit code of every command, the file that is named, what is said of it
BAD: dict[str, tuple[Callable[[Path], object], int, str, str]] = {
    "cut payload": (lambda store: cut(segment(store) / "payload/c/0"), DAMAGED, "payload/c/0", "cut short"),
    "cut table": (lambda store: cut(segment(store) / "table/c/0/0"), DAMAGED, "table/c/0/0", "cut short"),
    "cut head": (lambda store: cut(head(store)), DAMAGED, "00000002.json", "cut short"),
    "cut store.json": (lambda store: cut(store / "store.json"), DAMAGED, "store.json", "cut short"),
    "flipped bit": (lambda store: flip(segment(store) / "positions/c/0"), DAMAGED, "positions/c/0", "was changed"),
    "missing file": (lambda store: (segment(store) / "score/c/0").unlink(), DAMAGED, "score/c/0", "is missing"),
    "missing head": (lambda store: head(store).unlink(), DAMAGED, "generations", "holds no generation"),
    "wrong version": (lambda store: edit(store / "store.json", version=[2, 0]), REFUSED, "store.json", "version 2.0"),
    "unknown feature": (
        lambda store: edit(head(store), required_features=["rope"]),
        REFUSED,
        "00000002.json",
        "needs the feature 'rope'",
    ),
    "not a store": (lambda store: (store / "store.json").unlink(), REFUSED, "store", "no exemplar store"),
    "a name that leads outside": (
        lambda store: refer(store, name="../../../../etc"),
        DAMAGED,
        "00000002.json",
        "segments.0.name",
    ),
    "absurd number": (lambda store: refer(store, exemplars=10**14), DAMAGED, "segment.json", "100000000000000"),
    "absurd size": (lambda store: refer(store, bytes=1 << 62), DAMAGED, "segment.json", str(1 << 62)),
}


def tree(path: Path) -> dict[Path, object]:
    return {file: file.read_bytes() if file.is_file() else None for file in path.rglob("*")}


@pytest.mark.parametrize("kind", BAD)
def test_every_command_refuses_every_bad_store(
    capsys: pytest.CaptureFixture[str], small_store: ExemplarStore, tmp_path: Path, kind: str
) -> None:
    spoil, code, file, message = BAD[kind]
    spoil(small_store.path)
    before = tree(tmp_path)
    for command, *options in (*COMMANDS, ["verify"], ["verify", "--full"]):
        drawing = ["-o", str(tmp_path / "drawn.png")] if command == "show" else []
        assert main([command, str(small_store.path), *options, *drawing]) == code, command
        out, err = capsys.readouterr()
        assert file in err and message in err, command
        assert err.count("\n") == 1 or command == "verify"  # which goes on, to report all that is wrong
        assert command == "verify" or out == ""
    assert tree(tmp_path) == before


def test_a_strange_file_is_reported_and_does_no_harm(
    capsys: pytest.CaptureFixture[str], small_store: ExemplarStore
) -> None:
    (small_store.path / "notes.txt").write_text("mine")
    (small_store.path / "generations" / "00000001.json.orig").write_text("{}")
    (segment(small_store.path) / "core").write_text("dumped")
    assert main(["info", str(small_store.path)]) == 0
    assert main(["verify", str(small_store.path)]) == DAMAGED
    err = capsys.readouterr().err
    assert all(f"{name}: does not belong" in err for name in ("notes.txt", "00000001.json.orig", "core"))


def test_a_file_in_the_place_of_a_folder_is_damage(
    capsys: pytest.CaptureFixture[str], small_store: ExemplarStore
) -> None:
    for name in ("segments", "generations"):
        folder = small_store.path / name
        folder.rename(small_store.path / "tmp" / name)
        folder.write_text("")
        for command in ("info", "verify"):
            assert main([command, str(small_store.path)]) == DAMAGED
            assert str(folder) in capsys.readouterr().err
        folder.unlink()
        (small_store.path / "tmp" / name).rename(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], object]) -> str:
    """The store's refusal of `work`, done without the rights of root; empty if it was done."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        try:
            work()
        except StoreError as error:
            os.write(writing, str(error).encode())
        except BaseException as error:  # noqa: BLE001  (told to the parent, which fails on it)
            os.write(writing, f"traceback: {error!r}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_what_may_not_be_read_is_named(open_folder: Path, encode_class: Callable[..., Any]) -> None:
    store = ExemplarStore.create(open_folder / "store", budget_bytes=20_000, run_id="run")
    store.commit(store.plan(1, encode_class([0], 2)))
    for path in sorted(store.path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    store.path.chmod(0o755)
    assert as_nobody(lambda: StoreReader(store.path).read(0)) == ""
    (found,) = (store.path / "segments").iterdir()
    files = ["store.json", "generations", "generations/00000001.json", *(f"{found}/{name}" for name in CHAIN)]
    for path in (store.path, *(store.path / name for name in files)):
        mode = path.stat().st_mode
        path.chmod(0)
        said = as_nobody(lambda: StoreReader(store.path).read(0))
        path.chmod(mode)
        assert said.startswith(str(path)) and said.endswith("Permission denied"), said

"""Stores that a machine damages or forges at random: an error of one line or the right data, never anything else."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from exemplar_store import Damaged, EncodedExemplar, ExemplarStore, StoreError, StoreReader, verify
from exemplar_store.generations import generation_path
from exemplar_store.records import crc_text, file_checksum, seal, unseal

Contents = list[tuple[Any, ...]]
MOST_MEMORY = 32 << 20  # bytes that a reader may take for a store of a few kilobytes
HARDEST = [0, -1, 1, 2, 255, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 1.5, True, None, "", [], {}]
SEGMENT_JSON = ("zarr.json", "table/zarr.json", "positions/zarr.json", "score/zarr.json", "payload/zarr.json")

json_values = st.one_of(
    st.sampled_from(HARDEST),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=6,
    ),
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, encode_class: Callable[..., list[EncodedExemplar]]) -> Path:
    """A store of four exemplars in one segment; tests work on copies."""
    path = tmp_path_factory.mktemp("fuzz") / "store"
    store = ExemplarStore.create(path, budget_bytes=20_000, run_id="run")
    store.commit(store.plan(1, encode_class([0, 1], 2), {0: "heart", 1: "tool"}))
    return path


@pytest.fixture(scope="module")
def truth(pristine: Path) -> Contents:
    return contents(pristine)


@pytest.fixture
def scratch(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def contents(path: Path) -> Contents:
    """Everything that a reader gives out of the exemplars."""
    reader = StoreReader(path)
    return [
        (
            *(one.sample_id, one.label, one.stage, one.rank, one.score, one.source_hw, one.baseline_bytes, one.target),
            *((name, digest(part.values), digest(part.positions), part.grid) for name, part in one.tokens.items()),
        )
        for one in reader.read_many(range(len(reader)))
    ]


def digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def read_or_refuse(path: Path) -> Contents | None:
    """What the store gives; None if it refuses in one line that names a file. Nothing else may happen."""
    tracemalloc.start()
    try:
        return contents(path)
    except StoreError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 800 and str(path) in message
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY


def reseal(path: Path) -> None:
    """Make all checksums and sizes agree with the files, as somebody would who forges a store."""
    (segment,) = (path / "segments").iterdir()
    index = unseal((segment / "segment.json").read_bytes(), "")
    for name in index["files"]:
        data = (segment / name).read_bytes()
        index["files"][name] = [len(data), file_checksum(data)]
    (segment / "segment.json").write_bytes(seal(without_seal(index)))
    ref = {
        "bytes": sum(file.stat().st_size for file in segment.rglob("*") if file.is_file()),
        "crc32c": crc_text((segment / "segment.json").read_bytes()),
    }
    head = generation_path(path, 1)
    generation = unseal(head.read_bytes(), "")
    generation["segments"][0].update(ref)
    head.write_bytes(seal(without_seal(generation)))


def without_seal(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "crc32c"}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(data: st.DataObject, fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with one to three places replaced, removed or doubled."""
    fields = copy.deepcopy(fields)
    for _ in range(data.draw(st.integers(1, 3))):
        spots = list(places(fields))
        if not spots:
            break
        *where, last = data.draw(st.sampled_from(spots))
        parent: Any = fields
        for key in where:
            parent = parent[key]
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "double"]))
        if action == "replace":
            parent[last] = data.draw(json_values)
        elif action == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.append(parent[last])
    return fields


fuzzing = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@fuzzing
@given(data=st.data())
@pytest.mark.parametrize("name", ["store.json", "generations/00000001.json"])
def test_forged_manifests(pristine: Path, truth: Contents, scratch: Path, name: str, data: st.DataObject) -> None:
    fields = without_seal(unseal((pristine / name).read_bytes(), ""))
    (scratch / name).write_bytes(seal(changed(data, fields)))
    got = read_or_refuse(scratch)
    assert got is None or got == truth or got == []  # a generation may be forged to hold nothing
    assert isinstance(verify_or_refuse(scratch), list)


@fuzzing
@given(data=st.data())
@pytest.mark.parametrize("name", ["segment.json", *SEGMENT_JSON])
def test_forged_segments(pristine: Path, truth: Contents, scratch: Path, name: str, data: st.DataObject) -> None:
    """The forger makes all checksums agree, so that every number in the file reaches the code that would believe it."""
    shutil.rmtree(scratch)
    shutil.copytree(pristine, scratch)
    (segment,) = (scratch / "segments").iterdir()
    sealed = name == "segment.json"
    fields = json.loads((segment / name).read_bytes())
    fields = changed(data, without_seal(fields) if sealed else fields)
    (segment / name).write_bytes(seal(fields) if sealed else json.dumps(fields).encode("ascii"))
    with suppress(KeyError, TypeError, ValueError, AttributeError, OSError):  # too broken to be made to agree
        reseal(scratch)
    got = read_or_refuse(scratch)
    assert got is None or [one[:8] for one in got] == [one[:8] for one in truth]  # codec parameters may be forged well
    assert isinstance(verify_or_refuse(scratch), list)


@fuzzing
@given(garbage=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_files_that_are_something_else(pristine: Path, truth: Contents, scratch: Path, garbage: bytes) -> None:
    for name in ("store.json", "generations/00000001.json"):
        good = (pristine / name).read_bytes()
        (scratch / name).write_bytes(garbage)
        assert read_or_refuse(scratch) is None
        (scratch / name).write_bytes(garbage + f',"crc32c":"{crc_text(garbage)}"}}'.encode())  # sealed garbage
        assert read_or_refuse(scratch) is None
        (scratch / name).write_bytes(good)
    assert read_or_refuse(scratch) == truth


def test_random_bytes_cuts_and_swaps_over_a_whole_store(pristine: Path, truth: Contents, scratch: Path) -> None:
    dice = random.Random(1)
    files = sorted(path.relative_to(pristine) for path in pristine.rglob("*") if path.is_file())
    for _ in range(400):
        for path in dice.sample(files, dice.randrange(1, 4)):
            (scratch / path).write_bytes(hurt(dice, (pristine / path).read_bytes(), pristine, files))
        if any((scratch / path).read_bytes() != (pristine / path).read_bytes() for path in files):
            assert verify_or_refuse(scratch, full=True) != []
        assert read_or_refuse(scratch) in (None, truth)
        for path in files:
            shutil.copyfile(pristine / path, scratch / path)
    assert verify_or_refuse(scratch, full=True) == []


def hurt(dice: random.Random, data: bytes, root: Path, files: list[Path]) -> bytes:
    """One of the ways in which files go wrong."""
    at, to = sorted(dice.choices(range(len(data)), k=2))
    return dice.choice(
        [
            lambda: data[:at] + dice.randbytes(to - at) + data[to:],
            lambda: data[:at] + bytes(to - at) + data[to:],
            lambda: data[:at],
            lambda: data[:at] + data[to:],
            lambda: data + dice.randbytes(dice.randrange(1, 100)),
            lambda: (root / dice.choice(files)).read_bytes(),
        ]
    )()


def verify_or_refuse(path: Path, full: bool = False) -> list[str]:
    """The problems that `verify` finds, or the one for which it refuses to look."""
    try:
        found = verify(path, full)
    except Damaged as error:
        raise AssertionError("damage is what verify reports, not what stops it") from error
    except StoreError as error:
        return [str(error)]
    assert all(problem.isprintable() for problem in found.problems)
    return found.problems

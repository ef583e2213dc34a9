"""The files are plain Zarr v3, FORMAT.md suffices to read them, and what older formats wrote stays readable."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from exemplar_store import CODECS, ExemplarStore, Jpeg, StoreReader, Target, verify
from exemplar_store.records import crc_text, file_checksum, unseal

HERE = Path(__file__).parent
FORMAT = HERE.parents[1] / "storage" / "FORMAT.md"
GOLDEN = HERE / "golden"
VERSIONS = ("1.0", "1.1")
ALLOWED_CODECS = {"bytes", "crc32c", "zstd", "blosc", "sharding_indexed"}


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What the reader printed in FORMAT.md defines."""
    code = re.search(r"```python\n(.*?)```", FORMAT.read_text("utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(compile(code[1], str(FORMAT), "exec"), names)
    return names


def test_the_documented_reader_reads_what_ours_reads(small_store: ExemplarStore, documented: dict[str, Any]) -> None:
    reader, plain = StoreReader(small_store.path), documented["read_store"](small_store.path)
    assert len(plain) == len(reader) > 5
    for ours, theirs in zip(reader.read_many(range(len(reader))), plain, strict=True):
        for field in ("sample_id", "label", "stage", "rank", "score", "baseline_bytes"):
            assert getattr(ours, field) == theirs[field]
        assert ours.tokens.keys() == theirs["tokens"].keys()
        for name, tokens in ours.tokens.items():
            assert np.array_equal(tokens.values, theirs["tokens"][name]["values"])
            assert np.array_equal(tokens.positions, theirs["tokens"][name]["positions"])


def test_the_checksums_that_the_format_gives_as_examples() -> None:
    text = FORMAT.read_text("utf-8")
    (sealed,) = re.findall(r"^    (\{.*\})$", text, re.MULTILINE)
    assert unseal(sealed.encode("ascii"), "FORMAT.md")["number"] == 7
    digits = b"123456789"
    assert re.findall(r"they are `(.{8})` and `(.{8})`", text) == [(crc_text(digits), file_checksum(digits))]


def golden_expected(version: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / f"store-{version}.json").read_bytes())


def assert_same_tokens(got: Any, expected: dict[str, Any], lossy: bool) -> None:
    """Decoders of lossy pictures may differ by a rounding; everything else is exact."""
    values = np.array(expected["values"], got.dtype).reshape(got.shape)
    assert np.abs(got.astype(float) - values).max(initial=0) <= (2 if lossy else 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_golden_store_by_our_reader(version: str) -> None:
    expected = golden_expected(version)
    found = verify(GOLDEN / f"store-{version}", full=True)
    assert found.problems == found.leftovers == [] and found.exemplars == len(expected) >= 3
    reader = StoreReader(GOLDEN / f"store-{version}")
    assert reader.snapshot.generation.class_names.items() >= {0: "heart", 1: "Stück"}.items()
    assert reader.snapshot.generation.stages == (1, 2)
    for got, one in zip(reader.read_many(range(len(expected))), expected, strict=True):
        for field in ("sample_id", "label", "stage", "rank", "score", "baseline_bytes"):
            assert getattr(got, field) == one[field]
        assert got.target == Target(
            tuple(one.get("further_labels", ())), one.get("question", ""), one.get("answer", "")
        )
        assert got.tokens.keys() == one["tokens"].keys()
        for name, tokens in got.tokens.items():
            assert list(tokens.grid) == one["tokens"][name]["grid"]
            assert tokens.positions.tolist() == one["tokens"][name]["positions"]
            assert tokens.values.dtype.str == one["tokens"][name].get("dtype", tokens.values.dtype.str)
            assert_same_tokens(tokens.values, one["tokens"][name], lossy=name in ("image", "video"))


@pytest.mark.parametrize("version", VERSIONS)
def test_golden_store_by_the_documented_reader(version: str, documented: dict[str, Any]) -> None:
    for got, one in zip(documented["read_store"](GOLDEN / f"store-{version}"), golden_expected(version), strict=True):
        assert got["sample_id"] == one["sample_id"]
        assert [got["further_labels"], got["question"], got["answer"]] == [
            one.get("further_labels", []),
            one.get("question", ""),
            one.get("answer", ""),
        ]
        assert got["tokens"].keys() == one["tokens"].keys()
        for name, tokens in got["tokens"].items():
            assert tokens["positions"].tolist() == one["tokens"][name]["positions"]
            assert_same_tokens(tokens["values"], one["tokens"][name], lossy=name in ("image", "video"))


def test_the_newest_golden_store_has_every_codec() -> None:
    reader = StoreReader(GOLDEN / f"store-{VERSIONS[-1]}")
    assert {codec for name in reader.kept for codec in reader.codecs(name)} - {""} == set(CODECS)


READ_BY_TENSORSTORE = """
import json, sys, tensorstore
from pathlib import Path
for path in sorted(Path(sys.argv[1]).glob("segments/*/*/zarr.json")):
    array = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path.parent)}}).result()
    print(json.dumps([path.parent.name, array.read().result().tolist()]))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_tensorstore_reads_every_array_of_the_golden_store(version: str) -> None:
    """In a process of its own: tensorstore's threads do not survive the forks of other tests."""
    store = GOLDEN / f"store-{version}"
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_TENSORSTORE, store], capture_output=True, text=True, check=True
    )
    read = dict(json.loads(line) for line in done.stdout.splitlines())
    group = zarr.open_group(next(store.glob("segments/*")), mode="r")
    assert read.keys() == dict(group.arrays()).keys() >= {"table", "positions", "score", "payload"}
    for name, values in read.items():
        assert np.array_equal(values, group[name][:])


def test_only_codecs_of_the_zarr_specification(small_store: ExemplarStore) -> None:
    for path in [*small_store.path.rglob("zarr.json"), *GOLDEN.rglob("zarr.json")]:
        fields = json.loads(path.read_bytes())
        codecs = fields.get("codecs", [])
        inner = [
            one
            for codec in codecs
            for key in ("codecs", "index_codecs")
            for one in codec.get("configuration", {}).get(key, [])
        ]
        assert {codec["name"] for codec in [*codecs, *inner]} <= ALLOWED_CODECS


def test_zarr_itself_notices_flipped_bits_in_what_we_write(small_store: ExemplarStore) -> None:
    segment = small_store.path / "segments" / small_store.head.segments[0].name
    for name, chunk in [("table", "c/0/0"), ("positions", "c/0"), ("score", "c/0"), ("payload", "c/0")]:
        path = segment / name / chunk
        good = path.read_bytes()
        path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        with pytest.raises(ValueError, match="checksum"):
            zarr.open_group(segment, mode="r")[name][:]
        path.write_bytes(good)


def test_the_jpeg_header_of_the_documentation() -> None:
    header = base64.b64decode(Jpeg().header)
    assert header[:2] == b"\xff\xd8" and len(header) == 605


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_store_can_be_gone_on_with(tmp_path: Path, version: str) -> None:
    shutil.copytree(
        GOLDEN / f"store-{version}", tmp_path / "store", ignore=shutil.ignore_patterns("tmp")
    )  # as version control does
    store = ExemplarStore.open(tmp_path / "store", run_id="golden")
    assert store.commit(store.plan(3, [])).stages == (1, 2, 3)

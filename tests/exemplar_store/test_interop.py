"""The files are plain Zarr v3, FORMAT.md suffices to read them, and what format 1.0 wrote stays readable."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from exemplar_store import ExemplarStore, Jpeg, StoreReader, verify

HERE = Path(__file__).parent
FORMAT = HERE.parents[1] / "storage" / "FORMAT.md"
GOLDEN = HERE / "golden" / "store-1.0"
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


def golden_expected() -> list[dict[str, Any]]:
    return json.loads((HERE / "golden" / "store-1.0.json").read_bytes())


def same_values(got: np.ndarray, expected: list[Any], name: str) -> bool:
    """JPEG decoders may differ by a rounding; everything else is exact."""
    expected_array = np.array(expected, got.dtype).reshape(got.shape)
    return bool(np.abs(got.astype(float) - expected_array).max(initial=0) <= (2 if name == "image" else 0))


def test_golden_store_by_our_reader() -> None:
    found = verify(GOLDEN, full=True)
    assert found.problems == found.leftovers == [] and found.exemplars == 3
    reader = StoreReader(GOLDEN)
    assert reader.snapshot.generation.class_names == {0: "heart", 1: "Stück"}
    assert reader.snapshot.generation.stages == (1, 2)
    for got, expected in zip(reader.read_many(range(3)), golden_expected(), strict=True):
        for field in ("sample_id", "label", "stage", "rank", "score", "baseline_bytes"):
            assert getattr(got, field) == expected[field]
        assert got.tokens.keys() == expected["tokens"].keys()
        for name, tokens in got.tokens.items():
            assert list(tokens.grid) == expected["tokens"][name]["grid"]
            assert tokens.positions.tolist() == expected["tokens"][name]["positions"]
            assert same_values(tokens.values, expected["tokens"][name]["values"], name)


def test_golden_store_by_the_documented_reader(documented: dict[str, Any]) -> None:
    for got, expected in zip(documented["read_store"](GOLDEN), golden_expected(), strict=True):
        assert got["sample_id"] == expected["sample_id"]
        for name, tokens in got["tokens"].items():
            assert same_values(tokens["values"], expected["tokens"][name]["values"], name)


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


def test_a_golden_store_can_be_gone_on_with(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "store", ignore=shutil.ignore_patterns("tmp"))  # as version control does
    store = ExemplarStore.open(tmp_path / "store", run_id="golden")
    assert store.commit(store.plan(3, [])).stages == (1, 2, 3)

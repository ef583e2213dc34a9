"""Exports: what other libraries read is what the store holds."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.ipc
import pytest

from exemplar_store import Exemplar, ExemplarStore, Raw, StoreReader, Tokens, encode
from exemplar_store.cli import main

GOLDEN = Path(__file__).parent / "golden" / "store-1.1"


def export(target: Path, kind: str, store: Path = GOLDEN, *options: str) -> None:
    assert main(["export", str(store), str(target), "--format", kind, *options]) == 0
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(".")] == []


def truth(store: Path = GOLDEN) -> list[Exemplar]:
    reader = StoreReader(store)
    return reader.read_many(range(len(reader)))


def test_npz_by_numpy(tmp_path: Path) -> None:
    export(tmp_path / "memory.npz", "npz")
    arrays = np.load(tmp_path / "memory.npz", allow_pickle=False)
    expected = truth()
    assert arrays["sample_id"].tolist() == [one.sample_id for one in expected]
    assert arrays["answer"].tolist() == [one.target.answer for one in expected]
    assert arrays["class_name"].tolist() == [{0: "heart", 1: "Stück", 2: "all senses"}[one.label] for one in expected]
    for i, one in enumerate(expected):
        first, last = arrays["further_labels.start"][i : i + 2]
        assert tuple(arrays["further_labels"][first:last]) == one.target.further_labels
        for name, tokens in one.tokens.items():
            first, last = arrays[f"{name}.start"][i : i + 2]
            assert np.array_equal(arrays[f"{name}.values"][first:last], tokens.values)
            assert np.array_equal(arrays[f"{name}.positions"][first:last], tokens.positions)
            assert tuple(arrays[f"{name}.grid"][i]) == tokens.grid
    assert arrays["points.start"][1] in (0, 2) and len(arrays["points.values"]) == 2  # one exemplar has points


def test_webdataset_tar_by_tarfile(tmp_path: Path) -> None:
    export(tmp_path / "memory.tar", "webdataset")
    with tarfile.open(tmp_path / "memory.tar") as archive:
        members = {member.name: io.BytesIO(archive.extractfile(member).read()) for member in archive.getmembers()}
        keys = [name.split(".")[0] for name in members]
        assert keys == sorted(keys)  # the members of an exemplar lie together, as WebDataset needs
        for index, one in enumerate(truth()):
            record = json.loads(members[f"{index:08d}.json"].read())
            assert (record["label"], record["question"]) == (one.label, one.target.question)
            for name, tokens in one.tokens.items():
                assert record["grid"][name] == list(tokens.grid)
                assert np.array_equal(np.load(members[f"{index:08d}.{name}.npy"]), tokens.values)
                assert np.array_equal(np.load(members[f"{index:08d}.{name}.positions.npy"]), tokens.positions)
    export(tmp_path / "again.tar", "webdataset")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "memory.tar").read_bytes()


def test_arrow_by_pyarrow(tmp_path: Path) -> None:
    export(tmp_path / "memory.arrow", "arrow")
    rows: list[dict[str, Any]] = pyarrow.ipc.open_file(tmp_path / "memory.arrow").read_all().to_pylist()
    assert len(rows) == len(truth())
    for row, one in zip(rows, truth(), strict=True):
        assert (row["sample_id"], row["score"], row["answer"]) == (one.sample_id, one.score, one.target.answer)
        assert row["further_labels"] == list(one.target.further_labels)
        assert {name for name, struct in row["tokens"].items() if struct} == set(one.tokens)
        for name, tokens in one.tokens.items():
            struct = row["tokens"][name]
            values = np.frombuffer(struct["values"], struct["dtype"]).reshape(-1, *struct["token_shape"])
            assert np.array_equal(values, tokens.values)
            assert (struct["positions"], struct["grid"]) == (tokens.positions.tolist(), list(tokens.grid))


@pytest.mark.parametrize("kind", ["npz", "webdataset", "arrow"])
def test_filters_and_empty_stores(
    tmp_path: Path, kind: str, small_store: ExemplarStore, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = StoreReader(small_store.path).select(label=1)
    export(tmp_path / "tools", kind, small_store.path, "--label", "tool")
    assert f"{len(tools)} exemplars" in capsys.readouterr().out
    empty = ExemplarStore.create(tmp_path / "empty", budget_bytes=1_000, run_id="run")
    export(tmp_path / "nothing", kind, empty.path)


def test_modalities_of_several_kinds_do_not_fit_an_npz(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_exemplar: Any, codecs: Any, exact_codecs: Any
) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=50_000, run_id="run")
    floats = replace(make_exemplar(2), tokens={"image": Tokens.full(np.ones((4, 2), np.float32), (2, 2))})
    other = {"image": Raw(dtype="<f4", token_shape=(2,))}
    store.commit(store.plan(1, [encode(make_exemplar(1), codecs), encode(floats, other)]))
    assert main(["export", str(store.path), str(tmp_path / "x.npz"), "--format", "npz"]) == 2
    assert "modality 'image' has tokens of 2 kinds" in capsys.readouterr().err
    assert not list(tmp_path.glob("*x.npz*")) and not list(tmp_path.glob(".x*"))


def test_exports_overwrite_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.tar").write_text("mine")
    for target, message in [("x.tar", "exists; remove it"), ("none/x.tar", "No such file or directory")]:
        assert main(["export", str(GOLDEN), str(tmp_path / target), "--format", "webdataset"]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
    assert (tmp_path / "x.tar").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1

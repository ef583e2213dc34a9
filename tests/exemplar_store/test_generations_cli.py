"""Commands about generations and disk space: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exemplar_store import EncodedExemplar, ExemplarStore, layout
from exemplar_store.cli import main

Capture = pytest.CaptureFixture[str]
EncodeClass = Callable[..., list[EncodedExemplar]]


def run(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: Capture, *arguments: object) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.fixture
def store(tmp_path: Path, encode_class: EncodeClass, monkeypatch: pytest.MonkeyPatch) -> ExemplarStore:
    """Three stages, each in a segment of its own; two generations stay."""
    monkeypatch.setattr(layout, "WRITER_BYTES", 0)
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=60_000, run_id="run", keep_generations=2)
    for stage in range(1, 4):
        store.commit(store.plan(stage, encode_class([stage], 3, stage), {stage: f"class-{stage}"}))
    monkeypatch.undo()
    return store


def test_log(capsys: Capture, store: ExemplarStore) -> None:
    records = run_json(capsys, "log", store.path)
    assert [(one["generation"], one["stages"], one["added"]) for one in records] == [
        (2, [1, 2], None),
        (3, [1, 2, 3], 3),
    ]
    code, out, _ = run(capsys, "log", store.path)
    assert code == 0 and "3 (head)" in out and f"{store.used_bytes:,}" in out


def test_diff(capsys: Capture, store: ExemplarStore) -> None:
    facts = run_json(capsys, "diff", store.path, 2, 3)
    assert len(facts["added"]) == 3 and facts["removed"] == []
    code, out, _ = run(capsys, "diff", store.path, 2, 3)
    assert code == 0 and out.splitlines()[3].split() == ["class-3", "0", "3", "3", "0"]


def test_du(capsys: Capture, store: ExemplarStore, bytes_on_disk: Callable[[Path], int]) -> None:
    parts = run_json(capsys, "du", store.path)
    assert [one["part"] for one in parts] == ["head", "older generations", "leftovers"]
    assert sum(one["bytes"] for one in parts) == bytes_on_disk(store.path)
    code, out, _ = run(capsys, "du", store.path)
    assert code == 0 and f"{store.used_bytes:,}" in out


def test_rollback(capsys: Capture, store: ExemplarStore) -> None:
    assert run(capsys, "rollback", store.path, 2) == (
        0,
        "generation 4 holds what generation 2 held; stages: 1, 2\n",
        "",
    )
    assert len(run_json(capsys, "ls", store.path)) == 6
    facts = run_json(capsys, "rollback", store.path, 3)
    assert facts == {"generation": 5, "holds_what_held": 3, "stages": [1, 2, 3]}


def test_gc(capsys: Capture, store: ExemplarStore) -> None:
    (store.path / "tmp" / "half").write_text("12345")
    assert run_json(capsys, "gc", store.path, "--dry-run") == {"dry_run": True, "removed": {"tmp/half": 5}}
    assert run(capsys, "gc", store.path, "--dry-run")[1].endswith("would remove 1 items, 5 bytes\n")
    assert run(capsys, "gc", store.path)[1] == "removed tmp/half (5 bytes)\nremoved 1 items, 5 bytes\n"
    assert run(capsys, "gc", store.path)[1] == "removed 0 items, 0 bytes\n"


def test_forget(capsys: Capture, store: ExemplarStore) -> None:
    one, two, *_ = (row["sample_id"] for row in run_json(capsys, "ls", store.path))
    code, _, err = run(capsys, "forget", store.path, one, 999)
    assert code == 2 and "holds no exemplar of sample 999" in err
    facts = run_json(capsys, "forget", store.path, one, two)
    assert facts == {"generation": 4, "removed": 2, "bytes": ExemplarStore.open(store.path).used_bytes}
    assert {row["sample_id"] for row in run_json(capsys, "ls", store.path)}.isdisjoint((one, two))
    third = run_json(capsys, "ls", store.path)[0]["sample_id"]
    code, out, err = run(capsys, "forget", store.path, third)
    assert (code, err) == (0, "") and out.startswith("generation 5: 1 exemplars removed")
    assert [row["generation"] for row in run_json(capsys, "log", store.path)] == [5]


def test_compact(capsys: Capture, store: ExemplarStore) -> None:
    code, out, err = run(capsys, "compact", store.path)
    assert (code, err) == (0, "") and out.startswith("generation 4: 3 segments and") and " 1 segments and" in out
    used = ExemplarStore.open(store.path).used_bytes
    now = {"segments": 1, "bytes": used}
    assert run_json(capsys, "compact", store.path) == {"generation": 4, **now, "before": now}


def test_compact_under_mpirun(capsys: Capture, store: ExemplarStore) -> None:
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3", sys.executable, "-m", "exemplar_store.cli"]
    done = subprocess.run([*mpirun, "compact", store.path], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("generation 4: 3 segments") == 1
    assert len(run_json(capsys, "ls", store.path)) == 9


def test_one_process_tells_of_a_mistake_under_mpirun(tmp_path: Path) -> None:
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3", sys.executable, "-m", "exemplar_store.cli"]
    command = [*mpirun, "compact", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and done.stderr.count("exemplar-store: ") == 1
    assert f"{tmp_path / 'none'}: does not exist" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollback", "{store}", "1"], "generation 1 is gone"),
        (["rollback", "{store}", "9"], "there is no generation 9, the store is at 3"),
        (
            ["rollback", "{store}", "x"],
            "'generation': Input should be a valid integer, unable to parse",
        ),
        (["rollback", "{store}", "x"], "got 'x'"),
        (["diff", "{store}", "1.5", "3"], "got '1.5'"),
        (["diff", "{store}", "1", "3"], "generation 1 is gone"),
        (["log", "{tmp}"], "has no store.json"),
        (["du", "{tmp}/none"], "does not exist"),
        (["gc", "{tmp}"], "has no store.json"),
        (["compact", "{tmp}"], "has no store.json"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(
    capsys: Capture, tmp_path: Path, store: ExemplarStore, arguments: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, *[argument.format(tmp=tmp_path, store=store.path) for argument in arguments])
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_log_of_a_damaged_generation_goes_on_and_exits_with_1(capsys: Capture, store: ExemplarStore) -> None:
    older = store.path / "generations" / "00000002.json"
    older.write_bytes(older.read_bytes()[:-1])
    code, out, err = run(capsys, "log", store.path)
    assert code == 1 and out.splitlines()[1].split() == ["2", "damaged"] and "3 (head)" in out
    assert f"{older}: does not end in its checksum" in err and err.count("\n") == 1
    code, out, err = run(capsys, "log", store.path, "--json")
    assert code == 1 and [one["generation"] for one in json.loads(out)] == [2, 3] and str(older) in err

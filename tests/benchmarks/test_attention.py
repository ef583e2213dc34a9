"""The benchmark of a language model's attention runs."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "attention.py"


def test_a_small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "facts"
    options = ["--layers", "1", "--batch", "2", "--tokens", "8", "--rounds", "1", "--json", str(facts)]
    monkeypatch.setattr(sys, "argv", [str(BENCHMARK), *options])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    rows = json.loads(facts.read_text())["rows"]
    assert [(row["weights"], row["tokens"]) for row in rows] == [("float32", 8), ("bfloat16", 8)]
    for row in rows:
        assert row["sdpa by eager"] == pytest.approx(row["sdpa ms"] / row["eager ms"])

"""The benchmark of adapters runs, and what it compares computes the same."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "adapters.py"


def test_a_small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "facts"
    options = ["--layer", "self-attention", "--batch", "1", "--rounds", "1", "--json", str(facts)]
    monkeypatch.setattr(sys, "argv", [str(BENCHMARK), *options])
    runpy.run_path(str(BENCHMARK), run_name="__main__")  # it compares the results of dispatched and stacked, too
    rows = {(row["mode"], row["kind"]): row for row in json.loads(facts.read_text())["rows"]}
    kinds = {"base", "lora", "stacked", "dispatch"}
    modes = ("evaluation", "training", "with backward")
    assert rows.keys() == {(mode, kind) for mode in modes for kind in kinds}
    for (mode, _), row in rows.items():
        assert row["by lora"] == pytest.approx(row["ms"] / rows[mode, "lora"]["ms"])
        assert row["dispatch by it"] == pytest.approx(rows[mode, "dispatch"]["ms"] / row["ms"])

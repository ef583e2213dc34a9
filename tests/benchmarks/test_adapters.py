"""The benchmark of adapters runs, and what it compares computes the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_small_run(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/adapters.py", "--layer", "self-attention", "--batch", "1", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", tmp_path / "facts"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # it compares the results of dispatched and stacked experts, too
    rows = {(row["mode"], row["kind"]): row for row in json.loads((tmp_path / "facts").read_text())["rows"]}
    kinds = {"base", "lora", "stacked", "dispatch"}
    assert rows.keys() == {
        *((mode, kind) for mode in ("evaluation", "training", "with backward") for kind in kinds),
        ("evaluation", "fixed"),
    }
    for (mode, _), row in rows.items():
        assert row["by lora"] == pytest.approx(row["ms"] / rows[mode, "lora"]["ms"])
        assert row["dispatch by it"] == pytest.approx(rows[mode, "dispatch"]["ms"] / row["ms"])

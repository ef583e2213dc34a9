"""The benchmark of replay runs, and counts tokens as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_small_run(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/replay.py", "--layers", "1", "--batch", "2", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", tmp_path / "facts"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = {(row["backbone"], row["batch"]): row for row in json.loads((tmp_path / "facts").read_text())["rows"]}
    assert rows.keys() == {
        (name, kind) for name in ("vilt", "small") for kind in ("whole", "masked", "black", "half masked")
    }
    # [CLS], text, [SEP], and with ViLT the picture's own class token, then the patches.
    assert rows["vilt", "whole"]["tokens each"] == 2 + 38 + 1 + 192
    assert rows["vilt", "masked"]["tokens each"] == 2 + 15 + 1 + 54
    assert rows["vilt", "black"]["tokens each"] == 2 + 15 + 1 + 192
    assert rows["small", "masked"]["tokens each"] == 2 + 3 + 10
    for row in rows.values():
        assert row["time / tokens"] == pytest.approx(row["time"] / row["tokens"])

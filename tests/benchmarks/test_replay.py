"""The benchmark of replay runs, and counts tokens as they are."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "replay.py"


def test_a_small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--layers", "1", "--batch", "2", "--rounds", "1", "--json", str(tmp_path / "facts")]
    monkeypatch.setattr("sys.argv", [str(PROGRAM), *options])
    runpy.run_path(str(PROGRAM), run_name="__main__")
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

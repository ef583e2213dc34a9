"""The benchmark of the store runs, checks what layouts give back, and says what it left out."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS = {"MDS": "streaming", "Lance": "lance", "WebDataset": "wids", "tensorstore": "tensorstore", "jxl": "imagecodecs"}


def test_a_small_run(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "benchmarks/store.py",
        "--exemplars",
        "80",
        "--rounds",
        "1",
        "--json",
        tmp_path / "facts",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["exemplars"] == 80 and 0.3 < facts["patches_kept_share"] < 0.4
    rows = {row["name"]: row for row in facts["layouts"]}
    said = ("name", "note", "open_ms", "psnr_db")
    assert all(value > 0 for row in rows.values() for name, value in row.items() if name not in said)
    exact = {name for name, row in rows.items() if row["psnr_db"] is None}
    assert exact == {"npz files", *(f"exemplar_store {name}" for name in ("webp-lossless", "predicted", "raw"))}
    assert facts["missing"].keys() >= {name for name, module in NEEDS.items() if find_spec(module) is None}
    assert rows["exemplar_store jpeg q90"]["bytes_per_exemplar"] > facts["coded_bytes"]
    assert all(name in done.stdout for name in (*rows, *facts["missing"]))

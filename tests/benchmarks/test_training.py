"""The benchmark of training runs, and its programs do the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ["ours", "ours, DeepSpeed sums", "HF Trainer", "bare DeepSpeed"]


@pytest.mark.slow
def test_a_small_run(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/training.py", "--zero", "2", "--processes", "1", "--steps", "10"]
    command += ["--random-weights", "1", "64", "--batch-size", "4", "--micro-batch-size", "2"]
    command += ["--handovers", "1", "--json", str(tmp_path / "facts")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts").read_text())
    assert [row["program"] for row in facts["rows"]] == PROGRAMS
    for row in facts["rows"]:
        # Equal losses after a resumption, too: the programs train the same, and a checkpoint has all that it needs.
        assert row["loss_differs"] < 1e-3, row["program"]
        # A little of what the model needs was freed before it was built.
        assert 0.8 * row["formula_bytes_frozen"] < row["bytes_model"] < row["bytes_peak"]
        assert row["save_seconds"] > 0 and row["resume_seconds"] > 0 and row["tokens_per_second"] > 0
    sizes = {row["program"]: row["checkpoint_bytes"] for row in facts["rows"]}
    assert all(size > 8 * facts["rows"][0]["trainable_parameters"] for size in sizes.values())
    assert facts["handovers"][0]["seconds"] > 0
    assert all(program in done.stdout for program in PROGRAMS)

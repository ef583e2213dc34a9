"""Ranks that do not run the same thing stop before they begin, and say which and in what."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dist_mcl.run_folder import RunFolder

from .conftest import run_command

# What Python runs as it starts: here the second rank's machine has an older checkout installed.
OLDER = """
import importlib.metadata, os
if os.environ.get("RANK") == "1":
    real = importlib.metadata.version
    importlib.metadata.version = lambda name: "0.0.9" if name == "dist-mcl" else real(name)
"""


def test_a_rank_with_another_version_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(OLDER)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    command = run_command(tmp_path / "run")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rank 1 here on " in done.stderr
    assert 'disagree: versions.dist-mcl is "0.0.9" here and ' in done.stderr
    assert done.stderr.count("\n") == 1
    stage = RunFolder.open(tmp_path / "run").stage(1)
    assert (stage.state.status, stage.state.attempt) == ("failed", 1)
    assert not stage.adapter.exists()

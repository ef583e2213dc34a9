"""Adding a launcher takes what docs/launchers.md says: one file, and one row in the shared table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_launcher_of_the_documents_passes_the_shared_tests(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "launchers.md").read_text().split("## Adding a launcher")[1]
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.MULTILINE)
    source, row = (textwrap.dedent(block) for block in blocks if block.strip())
    name = row.split('"')[1]
    tests = tmp_path / "tests" / "stage_launchers"
    shutil.copytree(ROOT / "launchers", tmp_path / "launchers")
    shutil.copytree(ROOT / "tests" / "stage_launchers", tests)
    (tmp_path / "launchers" / "stage_launchers" / "kinds" / f"{name}.py").write_text(source)
    table = tests / "rows.py"
    table.write_text(table.read_text().replace("ROWS = (\n", f"ROWS = (\n{row}"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", f"{name} or has_a_row", tests / "test_kinds.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "launchers"), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout

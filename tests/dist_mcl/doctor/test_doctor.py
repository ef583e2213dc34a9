"""`mcl doctor` as a person calls it, on this very machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dist_mcl.cli import app
from dist_mcl.doctor import Finding

PATHWEAVE = Path(__file__).parents[3] / "configs" / "pathweave_instructblip.yaml"


def doctor(place: Path, *arguments: str) -> tuple[int, list[Finding]]:
    """Exit code and findings."""
    done = CliRunner().invoke(app, ["doctor", "--folder", str(place), "--json", *arguments])
    return done.exit_code, [Finding(**record) for record in json.loads(done.stdout)]


def missing(findings: list[Finding]) -> list[str]:
    return [f"{finding.topic}: {finding.says}" for finding in findings if finding.state == "missing"]


def test_where_the_tests_run_nothing_is_missing(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path / "not" / "there" / "yet", "--set", "launcher.processes=1")
    assert (code, missing(findings)) == (0, [])
    topics = {finding.topic for finding in findings}
    assert topics >= {"python", "packages", "processors", "gpu", "compiler", "models", "data", "folder", "mpi", "slurm"}
    (folder,) = [finding for finding in findings if finding.topic == "folder" and finding.state == "fine"]
    assert folder.says.startswith(f"{tmp_path}: hard links, locks and fsync (")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named_and_the_exit_code_is_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ("--set", "launcher.kind=mpi", "--set", "launcher.processes=1")
    code, findings = doctor(tmp_path, *arguments)
    assert code == 1
    models, mpi = missing(findings)
    assert models.startswith("models: model all-minilm-l6-v2: not in ")
    assert mpi == "mpi: mpirun is not found"
    assert next(finding.todo for finding in findings if finding.topic == "models") == (
        "run `mcl models fetch all-minilm-l6-v2`"
    )
    done = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path), *arguments])
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == len(findings) + 1  # a line each
    assert done.stdout.endswith("2 missing\n")


def test_a_run_over_modalities_that_cannot_begin_misses_something(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path, str(PATHWEAVE))
    topics = [(finding.topic, finding.state) for finding in findings]
    assert code == 1 and ("adapter", "fine") in topics
    assert [topic for topic, state in topics if state == "missing"] == ["models", *["data"] * 4]
    assert missing(findings)[0].startswith("models: model.backbone.path: missing, and layout instructblip-vicuna-7b")


def test_a_wrong_override_is_refused_as_ever() -> None:
    done = CliRunner().invoke(app, ["doctor", "--set", "launcher.kind=torque"])
    assert done.exit_code == 1 and "launcher.kind" in str(done.exception)

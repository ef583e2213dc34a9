"""The commands that only look, as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from dist_mcl import __version__
from dist_mcl.cli import app
from dist_mcl.config import Experiment
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder

FIVE = str(Path(__file__).parents[2] / "configs" / "mcl_five_modalities.yaml")
PATHWEAVE = str(Path(__file__).parents[2] / "configs" / "pathweave_instructblip.yaml")
QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")


def output(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_show_fills_in_every_default() -> None:
    shown = yaml.safe_load(output("config", "show", QUICKSTART, "--set", "seed=5"))
    assert Experiment.model_validate(shown).seed == 5
    assert shown["training"]["batch_size"] == 32


FINE = "fine; data were not looked at, which `mcl data check` does\n"


def test_check_says_that_all_is_fine_and_what_it_did_not_look_at() -> None:
    assert output("config", "check", QUICKSTART) == f"{QUICKSTART}: {FINE}"


SITES = "model.adapter.sites=[{role: decoder, suffixes: [q_proj, v_proj], count: 4}]"


def test_check_looks_for_sites_in_the_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = ("--set", "model.backbone={kind: causal-tiny}")
    assert output("config", "check", FIVE, *tiny, "--set", SITES) == f"{FIVE}: {FINE}"
    refused = CliRunner().invoke(app, ["config", "check", FIVE, *tiny]).exception
    assert isinstance(refused, UserError) and "count says 60" in str(refused)
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    unknown = output("config", "check", FIVE)
    assert f"{FIVE}: fine; whether the backbone has what model.adapter names is not known yet: model smollm2" in unknown


def test_check_looks_for_sites_before_all_models_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    without = f"{PATHWEAVE}: fine, but not all that a run needs is there: model.backbone.path: missing, and layout inst"
    assert without in output("config", "check", PATHWEAVE)
    wrong = "model.adapter.sites=[{role: qformer, suffixes: [query, key], count: 72}]"
    refused = CliRunner().invoke(app, ["config", "check", PATHWEAVE, "--set", wrong]).exception
    assert isinstance(refused, UserError) and "count says 72" in str(refused)


def test_check_looks_for_sites_before_encoders_are_there() -> None:
    shown = "encoder: {kind: huggingface, path: nobody/nothing}, data: {dataset: shapes}"
    stages = f"scenario.stages=[{{modality: image, {shown}}}, {{modality: depth, {shown}}}]"
    tiny = ("--set", "model.backbone={kind: causal-tiny}", "--set", stages)
    fine = output("config", "check", FIVE, *tiny, "--set", SITES)
    assert f"{FIVE}: fine, but not all that a run needs is there: scenario.stages.0.encoder.path: nobody/noth" in fine
    refused = CliRunner().invoke(app, ["config", "check", FIVE, *tiny]).exception
    assert isinstance(refused, UserError) and "count says 60" in str(refused)


def test_schema_knows_every_section() -> None:
    assert set(json.loads(output("config", "schema"))["properties"]) == {*Experiment.model_fields, "presets"}


def test_version() -> None:
    assert output("--version").strip() == __version__


@pytest.mark.parametrize("command", ["run", "status", "report", "config show", "config check", "config schema"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: mcl {command}" in output(*command.split(), "--help")


@pytest.mark.parametrize("command", ["status", "cancel", "retry --stage 1"])
def test_looking_and_stopping_do_not_import_torch(tmp_path: Path, command: str) -> None:
    run = RunFolder(tmp_path / "run", Experiment(name="small"), Plan.chain(["a"], [[0]]))
    run.write()
    code = """
import sys
from typer.testing import CliRunner
from dist_mcl.cli import app
CliRunner().invoke(app, sys.argv[1:])
assert "dist_mcl.coordinator" in sys.modules
assert "torch" not in sys.modules
"""
    name, *options = command.split()
    subprocess.run([sys.executable, "-c", code, name, str(run.path), *options], check=True)


def test_coordinators_and_reports_do_not_import_torch() -> None:
    code = """
import sys
import dist_mcl.coordinator.batch, dist_mcl.coordinator.schedule, dist_mcl.coordinator.start, dist_mcl.report
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

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

QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")


def output(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_show_fills_in_every_default() -> None:
    shown = yaml.safe_load(output("config", "show", QUICKSTART, "--set", "seed=5"))
    assert Experiment.model_validate(shown).seed == 5
    assert shown["training"]["batch_size"] == 32


def test_check_says_that_all_is_fine() -> None:
    assert output("config", "check", QUICKSTART) == f"{QUICKSTART}: fine\n"


def test_schema_knows_every_section() -> None:
    assert set(json.loads(output("config", "schema"))["properties"]) == set(Experiment.model_fields)


def test_version() -> None:
    assert output("--version").strip() == __version__


@pytest.mark.parametrize("command", ["run", "status", "report", "config show", "config check", "config schema"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: mcl {command}" in output(*command.split(), "--help")


def test_looking_does_not_import_torch() -> None:
    code = "import sys, dist_mcl.cli, dist_mcl.display; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

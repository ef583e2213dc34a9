import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dist_mcl.errors import UserError
from dist_mcl.scenario.commands import app


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))


def test_list_prints_the_facts_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    emoji, cdda = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (emoji["classes"], emoji["train"], emoji["test"], emoji["licence"]) == (37, 4913, 1849, "CC-BY-SA-4.0")
    assert (emoji["train photographs"], emoji["test photographs"]) == (31, 15)
    assert emoji["bytes"] < 25_000_000
    made = tmp_path / "data" / "cdda"
    assert cdda == {"name": "cdda", "folder": str(made), "make it with": "mcl data prepare cdda"}


def test_list_prints_lines_for_people() -> None:
    assert "CC-BY-SA-4.0" in CliRunner().invoke(app, ["list"]).stdout


def test_an_unknown_data_set_is_refused() -> None:
    result = CliRunner().invoke(app, ["prepare", "letters"])
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match="data set 'letters': not known; choose from emoji, cdda"):
        raise result.exception


@pytest.mark.parametrize("command", ["list", "prepare", "check", "caption"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: mcl data {command}" in CliRunner().invoke(app, [command, "--help"]).stdout

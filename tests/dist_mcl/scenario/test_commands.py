import json

import pytest
from typer.testing import CliRunner

from dist_mcl.errors import UserError
from dist_mcl.scenario.commands import app


def test_list_prints_the_facts_as_json() -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    (emoji,) = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (emoji["classes"], emoji["train"], emoji["test"], emoji["licence"]) == (37, 4913, 1849, "CC-BY-SA-4.0")
    assert emoji["bytes"] < 25_000_000


def test_list_prints_lines_for_people() -> None:
    assert "CC-BY-SA-4.0" in CliRunner().invoke(app, ["list"]).stdout


def test_an_unknown_data_set_is_refused() -> None:
    result = CliRunner().invoke(app, ["prepare", "letters"])
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match="data set 'letters': not known; choose from emoji"):
        raise result.exception

"""Differences of configurations are told field by field, also those inside lists, and briefly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dist_mcl import config
from dist_mcl.differences import differing_fields, some_of
from dist_mcl.errors import UserError
from dist_mcl.run_folder import Plan, RunFolder

CONFIG = Path(__file__).parents[2] / "configs" / "mcl_five_modalities.yaml"


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ({"rate": 0.002, "seed": 1}, {"rate": 0.5, "seed": 1}, ["rate is 0.002 here and 0.5 there"]),
        ({"a": {"b": None}}, {"a": {"b": "x"}}, ['a.b is null here and "x" there']),
        ({"a": True}, {}, ["a is true here and absent there"]),
        ({"a": None}, {"a": None}, []),
        ({"tasks": ("x", "y")}, {"tasks": ["x"]}, ['tasks is ["x", "y"] here and ["x"] there']),
        ({"a": ["x" * 70, "y"]}, {"a": ["x" * 70, "z"]}, ['a.1 is "y" here and "z" there']),
        ({"a": ["x" * 70, "y"]}, {"a": ["x" * 70]}, ["a has 2 entries here and 1 there"]),
        ({"a": "x" * 100}, {"a": 1}, [f'a is "{"x" * 59}… here and 1 there']),
    ],
)
def test_each_field_is_told_where_it_is(ours: dict[str, Any], theirs: dict[str, Any], told: list[str]) -> None:
    assert list(differing_fields(ours, theirs)) == told


def test_a_run_continued_without_its_preset_is_refused_in_one_readable_line(tmp_path: Path) -> None:
    small = config.load(CONFIG, preset="smoke")
    run = RunFolder(tmp_path, small, Plan.chain(["image"], [[0]]))
    with pytest.raises(UserError) as refused:
        run.check_same_experiment(config.load(CONFIG))
    line = str(refused.value)
    assert (
        ": model.adapter.sites.1.count is 60 here and 12 there; model.backbone.layers is null here and 6 there; "
        in line
    )
    assert "; and 8 more; choose another folder with --run" in line
    assert len(line) < 600 and "{" not in line


def test_what_differs_in_the_data_of_a_stage_is_named() -> None:
    fields = config.load(CONFIG).result_fields(), config.load(CONFIG, preset="smoke").result_fields()
    stages = [line for line in differing_fields(*fields) if line.startswith("scenario.stages.0.")]
    assert stages[0] == "scenario.stages.0.data.0.max_questions is 400 here and 16 there", stages


def test_many_differences_are_cut_short() -> None:
    assert some_of(["a", "b"]) == "a; b"
    assert some_of(list("abcde")) == "a; b; c; d; e"
    assert some_of(list("abcdefg")) == "a; b; c; d; e; and 2 more"

"""A preset is a part of a configuration's file that is laid over the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl import config
from dist_mcl.errors import UserError

FILE = """
name: small
seed: 3
data: {dataset: emoji, max_per_class: 9, modalities: [image, text]}
presets:
  quick:
    data: {max_per_class: 2, modalities: [text]}
    model: {backbone: tiny}
  wrong: {training: {epoch: 1}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(FILE)
    return path


def test_sections_are_merged_and_lists_replaced(file: Path) -> None:
    quick = config.load(file, preset="quick")
    assert (quick.data.max_per_class, quick.data.modalities, quick.data.dataset) == (2, ("text",), "emoji")
    assert (quick.seed, quick.model.backbone) == (3, config.TinyBackbone())


def test_it_is_another_experiment_by_name(file: Path) -> None:
    assert [config.load(file, preset=preset).name for preset in (None, "quick")] == ["small", "small-quick"]


def test_without_it_the_file_is_as_if_there_were_none(file: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(FILE.partition("presets:")[0])
    assert config.load(file) == config.load(plain)


def test_overrides_are_laid_over_the_preset(file: Path) -> None:
    assert config.load(file, ["data.max_per_class=5"], "quick").data.max_per_class == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name.first=x", "'name' is a value, not a section"),
        ("scenario.class_order.0=1", "'class_order' is a list; set the whole of it"),
    ],
)
def test_what_is_below_a_value_cannot_be_set(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nscenario: {class_order: [1, 0]}\n")
    with pytest.raises(UserError, match=message):
        config.load(path, [override])


@pytest.mark.parametrize(
    ("content", "preset", "message"),
    [
        (FILE, "quik", r"no preset 'quik'; choose from quick, wrong"),
        (FILE, "wrong", r"training\.epoch: unknown key; did you mean 'epochs'\?"),
        ("name: small\n", "quick", r"no preset 'quick'; the file has none"),
        ("presets: {quick: {seed: 1}}\n", "quick", r"name: missing; add it"),
        ("name: small\npresets: [quick]\n", None, r"presets: write them as NAME: and below it the keys"),
        ("name: small\npresets: {quick: 3}\n", "quick", r"presets: write them as NAME: and below it the keys"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, preset: str | None, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        config.load(path, preset=preset)

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dist_mcl.errors import UserError
from dist_mcl.scenario.commands import app

from .readers import layouts

SAMPLE = Path(__file__).parents[2] / "data"
QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.yaml"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))


def test_the_readme_names_every_command() -> None:
    named = re.search(r"`mcl data ([^`]+)`", (QUICKSTART.parents[1] / "README.md").read_text())
    assert named and set(named[1].split("\\|")) == {command.name for command in app.registered_commands}


def test_list_prints_the_facts_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    emoji, cdda, shapes, notes = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (emoji["classes"], emoji["train"], emoji["test"], emoji["licence"]) == (37, 4913, 1849, "CC-BY-SA-4.0")
    assert (emoji["train photographs"], emoji["test photographs"]) == (31, 15)
    assert emoji["bytes"] < 25_000_000
    made = tmp_path / "data" / "cdda"
    assert cdda == {"name": "cdda", "folder": str(made), "make it with": "mcl data prepare cdda"}
    assert [one["make it with"] for one in (shapes, notes)] == ["mcl data prepare shapes", "mcl data prepare notes"]


def test_list_counts_what_was_prepared(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "notes", tmp_path / "data" / "notes")
    notes = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)[-1]
    assert (notes["name"], notes["audio"], notes["licence"]) == ("notes", 44, "GPL-2.0-only AND MIT")
    assert notes["train questions"] + notes["test questions"] > 2 * 44


def test_check_reads_every_stage(tmp_path: Path) -> None:
    modalities = {"image": "shapes", "video": "shapes", "audio": "notes", "depth": "shapes", "point_cloud": "shapes"}
    stages = [
        {"modality": modality, "data": {"dataset": name, "folder": str(SAMPLE / name), "max_questions": 2}}
        for modality, name in modalities.items()
    ]
    path = tmp_path / "five.yaml"
    experiment = {
        "name": "five",
        "exemplars": {"budget": 0},
        "model": {
            "backbone": "causal-tiny",
            "adapter": {"kind": "adapter_in_adapter"},
        },
        "scenario": {"kind": "modality_incremental", "stages": stages},
    }
    path.write_text(json.dumps(experiment))
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 0, result.exception
    for number, modality in enumerate(modalities, start=1):
        assert (
            f"stage {number}, {modality}, test of {modalities[modality]}: 0 of its media are in train too"
            in result.stdout
        )
    assert "stage 2, video, train: motion: 2 questions" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emoji", "--per-class", "2", "--output", "x"], "--per-class 2: is for shapes and notes, not for emoji"),
        (["shapes", "--per-class", "2"], "--per-class 2: makes a part of the set; say where by --output"),
    ],
)
def test_a_part_of_a_set_is_made_elsewhere_and_of_questions(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["prepare", *arguments])
    assert isinstance(result.exception, UserError) and message in str(result.exception)


def test_list_prints_lines_for_people() -> None:
    assert "CC-BY-SA-4.0" in CliRunner().invoke(app, ["list"]).stdout


def test_an_unknown_data_set_is_refused() -> None:
    result = CliRunner().invoke(app, ["prepare", "letters"])
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match="data set 'letters': not known; choose from emoji, cdda, shapes, notes"):
        raise result.exception


@pytest.mark.parametrize("command", ["list", "prepare", "check", "find", "caption"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: mcl data {command}" in CliRunner().invoke(app, [command, "--help"]).stdout


def test_find_says_the_number_of_a_file(tmp_path: Path) -> None:
    layouts.food101_json(tmp_path)
    file = tmp_path / "experiment.yaml"
    file.write_text(f"name: small\ndata: {{dataset: food101, folder: {tmp_path}}}\n")
    line = CliRunner().invoke(app, ["find", str(file), "tacos_4.jpg"]).stdout
    assert line.split() == ["4", "train", "tacos", str(tmp_path / "images" / "train" / "tacos" / "tacos_4.jpg")]
    assert isinstance(CliRunner().invoke(app, ["find", str(file), "pizza"]).exception, UserError)


@pytest.fixture
def imu(tmp_path: Path) -> Path:
    """An experiment of one stage, whose media are not all there."""
    for split in ("train", "test"):
        rows = [{"media": f"{n}.csv", "question": f"What {n}?", "answer": "this"} for n in (1, 2, 2)]
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "2.csv").write_text("1,2\n")
    data = {"dataset": "manifest", "folder": str(tmp_path), "missing_media": "skip"}
    encoder = {"kind": "vectors", "features": 2}
    stage = {"modality": "imu", "tokens": "features", "encoder": encoder, "data": data}
    experiment = {
        "name": "imu",
        "exemplars": {"budget": 0},
        "model": {"backbone": "causal-tiny", "adapter": {"kind": "full"}},
        "scenario": {"kind": "modality_incremental", "stages": [stage]},
    }
    path = tmp_path / "imu.yaml"
    path.write_text(json.dumps(experiment))
    return path


def test_find_says_the_numbers_of_the_questions_about_a_medium(imu: Path) -> None:
    lines = CliRunner().invoke(app, ["find", str(imu), "2.csv"]).stdout.splitlines()
    shown = f"{imu.parent / '2.csv'}  What 2?"
    names = ["train", "train", "test of manifest", "test of manifest"]
    assert [line.lstrip() for line in lines] == [
        f"{number}  stage 1, imu, {name}  {shown}" for number, name in enumerate(names)
    ]
    assert isinstance(CliRunner().invoke(app, ["find", str(imu), "red heart"]).exception, UserError)


def test_check_says_how_many_questions_were_left_out(imu: Path) -> None:
    lines = CliRunner().invoke(app, ["check", str(imu)]).stdout.splitlines()
    says = "1 question is left out, since its media file is not there"
    assert f"stage 1, imu, train: {says}" in lines and f"stage 1, imu, test of manifest: {says}" in lines


def test_find_says_the_numbers_of_a_drawing() -> None:
    lines = CliRunner().invoke(app, ["find", str(QUICKSTART), "red heart"]).stdout.splitlines()
    assert len(lines) > 4 and all("heart  red heart, " in line for line in lines)

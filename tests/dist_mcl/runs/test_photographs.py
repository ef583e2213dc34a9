"""The configurations for photographs, from miniature folders in the real layouts and a tiny ViLT to the report."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..backbones.test_vilt import save_checkpoint
from ..scenario.readers import layouts
from .conftest import mcl

pytestmark = pytest.mark.xdist_group("runs")

CONFIGS = Path(__file__).parents[3] / "configs"
SMALL = (
    "training.epochs=1",
    "exemplars.budget=40KiB",
    "scenario.increment=1",
)


@pytest.mark.parametrize(
    ("config", "write", "more"),
    [
        ("food101_vilt.yaml", layouts.food101_json, ["scenario.base=2"]),
        ("mm_imagenet_r_vilt.yaml", layouts.imagenet_r, ["scenario.base=2", "data.modalities=[image, text]"]),
    ],
)
def test_it_runs_on_a_miniature_folder(
    tmp_path: Path, config: str, write: Callable[[Path], list[layouts.Made]], more: list[str]
) -> None:
    write(tmp_path / "set")
    save_checkpoint(tmp_path / "vilt")
    folders = [f"data.folder={tmp_path / 'set'}", f"model.backbone.path={tmp_path / 'vilt'}"]
    settings = [*folders, *SMALL, *more]
    options = [part for one in settings for part in ("--set", one)]
    done = subprocess.run(
        mcl("run", CONFIGS / config, *options, "--run", tmp_path / "run"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    status = subprocess.run(mcl("status", tmp_path / "run", "--json"), capture_output=True, text=True, check=True)
    assert [stage["status"] for stage in json.loads(status.stdout)] == ["done", "done"]
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert sorted(len(stage) for stage in plan["stages"]) == [1, 2]


def test_data_check_reads_every_picture_and_names_a_bad_one(tmp_path: Path) -> None:
    pictures = layouts.food101_json(tmp_path)
    titles = tmp_path / "text.json"
    titles.write_text(titles.read_text().replace("colour 4,", "the best Tacos,"))
    trained = tmp_path / "images" / "train" / "frozen_yogurt" / "frozen_yogurt_0.jpg"
    tested = next((tmp_path / "images" / "test").rglob("apple_pie*.jpg"))
    tested.write_bytes(trained.read_bytes())
    command = mcl("data", "check", CONFIGS / "food101_vilt.yaml", "--set", "model.backbone=tiny")
    command += ["--set", f"data.folder={tmp_path}"]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(pictures) == 18  # three of them are the val split
    assert whole.stdout.splitlines() == [
        "train: 9 samples of 3 classes, 3 to 3 in each; 11 % of the texts have a word of their class's name",
        "test: 6 samples of 3 classes, 2 to 2 in each; 0 % of the texts have a word of their class's name; "
        "1 of its pictures are in train too",
    ]
    picture = next((tmp_path / "images" / "test").rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes()[:-150])
    cut = subprocess.run(command, capture_output=True, text=True, check=False)
    assert cut.returncode == 2 and f"{picture}: the picture cannot be read" in cut.stderr

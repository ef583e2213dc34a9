"""The configurations for photographs, from miniature folders in the real layouts and a tiny ViLT to the report."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dist_mcl.run_folder import RunFolder
from exemplar_store import StoreReader, verify

from ..backbones.test_vilt import save_checkpoint
from ..scenario.readers import layouts
from .conftest import mcl

pytestmark = pytest.mark.xdist_group("runs")

CONFIGS = Path(__file__).parents[3] / "configs"


def food101(folder: Path) -> list[layouts.Made]:
    return layouts.food101_json(folder / "data" / "food101", {f"dish_{number}": number for number in range(21)})


def imagenet_r(folder: Path) -> list[layouts.Made]:
    return layouts.imagenet_r(folder / "data" / "imagenet-r", tuple(f"n{number:08}" for number in range(40)))


@pytest.mark.parametrize(
    ("config", "write", "stages"),
    [("food101_vilt.yaml", food101, [11, 10]), ("mm_imagenet_r_vilt.yaml", imagenet_r, [20, 20])],
)
def test_it_runs_as_it_is_on_a_miniature_folder(
    tmp_path: Path, config: str, write: Callable[[Path], list[layouts.Made]], stages: list[int]
) -> None:
    write(tmp_path)
    cache = tmp_path / "hub" / "models--dandelin--vilt-b32-mlm"  # as Hugging Face's client lays it out
    save_checkpoint(cache / "snapshots" / ("0" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        mcl("run", CONFIGS / config), cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs" / config.removesuffix(".yaml")
    run = RunFolder.open(folder)
    assert [len(stage) for stage in run.plan.stages] == stages and (folder / "report.html").is_file()
    assert all(stage.is_done() for stage in run.stages())
    assert verify(run.store, full=True).problems == []
    with closing(StoreReader(run.store)) as reader:
        assert len(reader) == 3 * sum(stages) and set(reader.modality_bytes) == {"image", "text"}


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

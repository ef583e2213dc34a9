"""docs/add-a-modality.md, done word for word."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dist_mcl import config
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.run_folder import RunFolder
from dist_mcl.scenario.commands import app
from dist_mcl.scenario.questions.stages import modality_stages

PAGE = Path(__file__).parents[4] / "docs" / "add-a-modality.md"
SAMPLE = Path(__file__).parents[3] / "data" / "shapes"
_FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All files of the page."""
    monkeypatch.chdir(tmp_path)
    files = dict(_FILE.findall(PAGE.read_text()))
    assert len(files) == 8
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def experiment(folder: Path, entry: str) -> Path:
    few = {"dataset": "shapes", "folder": str(SAMPLE), "max_questions": 4}
    image = {"modality": "image", "encoder": {"kind": "efficientnet-lite0", "side": 32, "cells": 1}, "data": few}
    stages = [image, yaml.safe_load((folder / entry).read_text())]
    path = folder / "experiment.yaml"
    whole = {
        "name": "six",
        "exemplars": {"budget": 0},
        "training": {"epochs": 8, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 0.01},
        "evaluation": {"generation": {"max_tokens": 3}},
        "launcher": {"processes": 1, "threads": 1},
        "model": {"backbone": "causal-tiny", "adapter": {"kind": "adapter_in_adapter"}},
        "scenario": {"kind": "modality_incremental", "stages": stages},
    }
    path.write_text(yaml.safe_dump(whole))
    return path


def test_the_entry_without_code(folder: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(experiment(folder, "entry.yaml"))])
    assert result.exit_code == 0, result.exception
    shown = re.findall(r"^    (stage 2, .*)$", PAGE.read_text(), re.MULTILINE)
    assert len(shown) == 2 and all(line in result.stdout for line in shown)


def test_the_entry_with_a_tokenizer(folder: Path) -> None:
    scenario = config.load(experiment(folder, "entry_with_tokenizer.yaml")).scenario
    assert isinstance(scenario, ModalityIncremental)
    stage = modality_stages(scenario)[1]
    tokens = stage.train.sample(0, stage=2).tokens["imu"]
    assert tokens.values.shape == (2, 12) and tokens.values.dtype == np.float16
    back = stage.train.tokenizer.decode(tokens)
    np.testing.assert_allclose(back, stage.train.media(0), atol=0.01)
    (folder / "walks" / "train" / "1.csv").write_text("a,b")
    with pytest.raises(Exception, match=r"1\.csv: the readings cannot be read .*; bring a whole file"):
        stage.train.sample(0, stage=2)


@pytest.mark.parametrize("entry", ["entry.yaml", "entry_with_tokenizer.yaml"])
@pytest.mark.xdist_group("runs")
def test_the_modality_is_learned_after_another_and_asked_about(folder: Path, entry: str) -> None:
    command = [sys.executable, "-m", "dist_mcl.cli", "run", str(experiment(folder, entry)), "--run", "run"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    image, imu = RunFolder.open(folder / "run").stages()
    losses = imu.record("train")["loss"]
    assert len(losses) == 8 and losses[-1] < losses[0]  # epochs of one step
    scores = imu.record("evaluate")["scores"]
    assert scores["image"] == image.record("evaluate")["scores"]["image"]
    assert scores["imu"].keys() == {"manifest/qa"} and scores["imu"]["manifest/qa"] in (0, 1)
    assert imu.record("evaluate")["items"][1] == 1

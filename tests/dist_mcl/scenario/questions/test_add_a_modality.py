"""docs/add-a-modality.md, done word for word."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dist_mcl import config
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.commands import app
from dist_mcl.scenario.questions.stages import modality_stages

from .readers import layouts

PAGE = Path(__file__).parents[4] / "docs" / "add-a-modality.md"
_FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All files of the page, and a first stage of something else."""
    monkeypatch.chdir(tmp_path)
    files = dict(_FILE.findall(PAGE.read_text()))
    assert len(files) == 8
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    layouts.objaverse(tmp_path / "clouds")
    return tmp_path


def experiment(folder: Path, entry: str) -> Path:
    first = {"modality": "point_cloud", "data": {"dataset": "objaverse", "folder": "clouds"}}
    stages = [first, yaml.safe_load((folder / entry).read_text())]
    path = folder / "experiment.yaml"
    whole = {
        "name": "six",
        "exemplars": {"budget": 0},
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

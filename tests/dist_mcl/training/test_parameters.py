"""`mcl params` reproduces the published counts; every number is in the method's table of parameters."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dist_mcl import config
from dist_mcl.cli import app
from dist_mcl.errors import UserError
from dist_mcl.training.parameters import Counts, count, count_table

CONFIG = Path(__file__).parents[3] / "configs" / "pathweave_instructblip.yaml"


@pytest.fixture(scope="module")
def counts() -> Counts:
    return count(config.load(CONFIG))


def test_every_part_is_as_published(counts: Counts) -> None:
    assert counts.base == ["image"]
    assert [stage.modality for stage in counts.stages] == ["video", "audio", "depth", "point_cloud"]
    for older, stage in enumerate(counts.stages):
        assert stage.sites == {"qformer": 72, "connector": 1}
        assert stage.parts["qformer adapters"] == 1_002_120
        assert stage.parts.get("qformer in-adapters", 0) == 5_184 * older
        assert stage.parts["connector adapters"] == 43_017
        assert stage.parts["queries"] == 24_576
        assert not {"connector in-adapters", "connector gates"} & stage.parts.keys()
    assert [stage.parts.get("qformer gates", 0) for stage in counts.stages] == [0, 251_904, 377_856, 503_808]
    assert [stage.parts["norm"] for stage in counts.stages] == [2_816, 1_536, 2_816, 1_024]
    assert [stage.parts.get("lift", 0) for stage in counts.stages] == [0, 1_082_752, 0, 722_304]


def test_stages_and_what_they_save_are_as_published(counts: Counts) -> None:
    assert [stage.trained for stage in counts.stages] == [1_072_529, 2_411_089, 1_460_753, 2_312_401]
    assert counts.frozen["qformer"] == 185_660_160 and counts.frozen["language_projection"] == 3_149_824
    assert [stage.full for stage in counts.stages[:2]] == [188_837_376, 189_918_848]
    assert [round(100 * stage.saved, 2) for stage in counts.stages] == [99.43, 98.73, 99.23, 98.78]
    assert counts.largest.modality == "audio"


def test_an_encoder_that_trains_is_counted_and_not_frozen() -> None:
    stages = "scenario.stages=[{modality: point_cloud, encoder: points, data: {dataset: shapes}}]"
    found = count(config.load(CONFIG, [stages]))
    assert found.frozen == count(config.load(CONFIG)).frozen
    (stage,) = found.stages
    assert stage.parts["points"] == 6 * 64 + 64 + 64 * 128 + 128 + 128 * 256 + 256
    assert stage.parts["lift"] == (256 + 1) * 1408


def test_the_command_says_all_of_it(counts: Counts) -> None:
    done = CliRunner().invoke(app, ["params", str(CONFIG), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout) == counts.facts()
    facts = counts.facts()
    assert facts["largest"] == "audio" and facts["stages"][1]["trained"] == 2_411_089
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(count_table(counts))
    text = console.export_text()
    assert all(number in text for number in ("1,002,120", "503,808", "2,411,089", "189,918,848", "98.73 %"))
    assert counts.summary().startswith("At most, with audio, 2,411,089 parameters train: 98.73 % fewer than")


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other\n")
    with pytest.raises(UserError, match=r"not ssf on small; see configs/pathweave_instructblip\.yaml"):
        count(config.load(tmp_path / "other.yaml"))
    with pytest.raises(UserError, match=r"84 linear layers of the qformer end in .*, and count says 72") as caught:
        count(config.load(CONFIG, ["model.adapter.sites=[{role: qformer, suffixes: [query, dense], count: 72}]"]))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"parents\.audio: smell is not learned before audio"):
        count(config.load(CONFIG, ["model.adapter.parents={audio: [smell]}"]))
    with pytest.raises(UserError, match=r"model\.adapter\.sites: none are said"):
        count(config.load(CONFIG, ["model.adapter.sites=[]"]))

"""`mcl params` counts what a run trains, and reproduces the published counts, those of the method's table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import CLIPVisionConfig, CLIPVisionModel
from typer.testing import CliRunner

from dist_mcl import config
from dist_mcl.cli import app
from dist_mcl.errors import UserError
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.load_language import load_language_backbone
from dist_mcl.training.parameters import Counts, StageCount, count, count_table

from .modality_runs import FULL, LORA, ORDER, SITES, experiment

CONFIG = Path(__file__).parents[3] / "configs" / "pathweave_instructblip.yaml"
FIVE = CONFIG.with_name("mcl_five_modalities.yaml")
ANA = {"kind": "adapter_in_adapter", "rank": 2, "sites": SITES}


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
    with pytest.raises(
        UserError, match=r"scenario\.kind: class_incremental brings no modalities, and mcl params counts"
    ):
        count(config.load(tmp_path / "other.yaml"))
    with pytest.raises(UserError, match=r"nobody/nothing"):
        count(config.load(FIVE, ["model.backbone.path=nobody/nothing"]))
    with pytest.raises(UserError, match=r"84 linear layers of the qformer end in .*, and count says 72") as caught:
        count(config.load(CONFIG, ["model.adapter.sites=[{role: qformer, suffixes: [query, dense], count: 72}]"]))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"parents\.audio: smell is not learned before audio"):
        count(config.load(CONFIG, ["model.adapter.parents={audio: [smell]}"]))


@pytest.mark.parametrize("adapter", [ANA, {**ANA, "sites": []}, LORA, FULL, {"kind": "none"}], ids=str)
@pytest.mark.parametrize("joint", [False, True], ids=["in turn", "at once"])
def test_whatever_trains_is_counted_as_it_is_in_a_run(tmp_path: Path, adapter: dict[str, Any], joint: bool) -> None:
    if joint and adapter["kind"] == "adapter_in_adapter":
        return
    wanted = experiment(tmp_path, adapter, scenario={"joint": joint})
    found = count(wanted)
    assert [stage.modality for stage in found.stages] == (["image, depth, sensor"] if joint else list(ORDER))
    answerer = Answerer(load_language_backbone(wanted))
    ever = set()
    for stage in found.stages:
        answerer.begin(stage.modality.split(", "), wanted.model.adapter, seed=0)
        trained = {value for value in answerer.backbone.parameters() if value.requires_grad}
        assert stage.trained == sum(value.numel() for value in trained)
        ever |= trained
    left = sum(value.numel() for value in set(answerer.backbone.parameters()) - ever)
    frozen = sum(found.frozen.values())
    assert frozen == left


def test_a_connector_that_is_new_trains_in_the_first_stage_alone(tmp_path: Path) -> None:
    first, second, _ = count(experiment(tmp_path, LORA)).stages
    assert first.sites == second.sites == {"connector": 2, "decoder": 4}
    assert first.parts["connector weights"] > 0 and "connector weights" not in second.parts
    assert first.parts["decoder LoRA"] == 2 * 2 * ((32 + 32) + (32 + 16))
    assert first.full > second.full - second.parts["decoder LoRA"] and second.saved > 0


def test_encoders_are_of_their_own_sizes_without_any_weights_being_read(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=32, patch_size=16)).save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    encoder = f"{{kind: huggingface, path: {folder}}}"
    stages = f"scenario.stages=[{{modality: image, encoder: {encoder}, data: {{dataset: shapes}}}}]"
    (stage,) = count(config.load(CONFIG, [stages])).stages
    assert stage.parts["norm"] == 2 * 24 and stage.parts["lift"] == (24 + 1) * 1408


@pytest.mark.parametrize(
    ("saved", "words"), [(0.5, "50.00 % fewer than"), (0.0, "as many as"), (-0.5, "50.00 % more than")]
)
def test_the_largest_stage_is_put_in_words(saved: float, words: str) -> None:
    stage = StageCount("image", {}, {"norm": round(100 * (1 - saved))}, 100)
    assert f" parameters train: {words} the 100 of full fine-tuning; 7 stay" in Counts([], {"a": 7}, [stage]).summary()

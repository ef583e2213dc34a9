"""What does not go together in an experiment is refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.config import load
from dist_mcl.errors import UserError
from dist_mcl.media_rules import media_of

FIVE = Path(__file__).parents[2] / "configs" / "mcl_five_modalities.yaml"


def test_the_shipped_configuration_is_fine_and_its_preset_too() -> None:
    experiment = load(FIVE)
    assert [stage.modality for stage in experiment.scenario.stages] == [
        "image",
        "video",
        "audio",
        "depth",
        "point_cloud",
    ]
    encoders = {name: medium.encoder.kind for name, medium in media_of(experiment).items()}
    assert encoders == {
        "image": "efficientnet-lite0",
        "video": "efficientnet-lite0",
        "audio": "whisper-tiny.en",
        "depth": "efficientnet-lite0",
        "point_cloud": "points",
    }
    smoke = load(FIVE, preset="smoke")
    assert (smoke.name, smoke.model.backbone.layers) == ("mcl_five_modalities-smoke", 6)
    assert [stage.modality for stage in smoke.scenario.stages] == [one.modality for one in experiment.scenario.stages]


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("exemplars.budget=1MiB", "exemplars.budget: exemplars are of classes; set 0 for modalities"),
        ("model.backbone=tiny", "model.backbone.kind: tiny does not answer questions; choose causal"),
        (
            "model.adapter={kind: ssf}",
            "model.adapter.kind: ssf is not for modalities; choose adapter_in_adapter",
        ),
        ("training.activation_checkpointing=true", "training.activation_checkpointing: adapters could not tell"),
        ("training.optimizer_state=keep", "training.optimizer_state: each modality trains its own; set reset"),
        ("training.distillation.teacher=previous", "training.distillation.teacher: there is none for modalities"),
        ("scenario={stages: 5}", "answers questions, which scenario.kind: class_incremental does not ask"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        load(FIVE, [override])
    assert complaint in str(refused.value)


NOTES, SHAPES = "data: {dataset: notes}", "data: {dataset: shapes}"


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [
        (
            f"modality: audio, encoder: {{kind: whisper-tiny.en, seconds: 2}}, {NOTES}",
            "hears 2.0 seconds in 80 bins, and the tokens of audio are 1.0 seconds in 80 bins; make them equal",
        ),
        (
            f"modality: image, encoder: points, {SHAPES}",
            "encoder: points takes tokens of point_cloud, and not of image",
        ),
        (
            f"modality: audio, tokens: features, {NOTES}",
            "encoder: missing, and causal has no usual one for tokens of kind features; add one of efficientnet-lite0,",
        ),
        (
            f"modality: image, encoder: instructblip, {SHAPES}",
            "encoder: instructblip is not for model.backbone.kind causal; choose one of efficientnet-lite0,",
        ),
        (
            f"modality: video, units: true, {SHAPES}",
            "units: true is for model.backbone.kind qformer, not causal; leave it out",
        ),
        (
            f"modality: image, encoder: {{kind: points, feature: 3}}, {SHAPES}",
            "encoder.feature: unknown key; did you mean 'features'?",
        ),
        (
            f"modality: image, encoder: {{features: 3}}, {SHAPES}",
            "encoder.kind: missing; add one of efficientnet",
        ),
    ],
)
def test_a_modality_is_shown_by_an_encoder_that_takes_its_tokens(stage: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        load(FIVE, [f"scenario.stages=[{{{stage}}}]"])
    assert "scenario.stages.0." in str(refused.value) and complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_q_former_knows_already_comes_first_unless_a_stage_brings_it() -> None:
    pathweave = FIVE.with_name("pathweave_instructblip.yaml")
    media = media_of(load(pathweave))
    assert list(media) == ["image", "video", "audio", "depth", "point_cloud"]
    assert media["video"].units and (media["image"].cue, media["point_cloud"].cue) == ("image: ", "3d: ")
    taught = load(pathweave, [f"scenario.stages=[{{modality: image, cue: 'seen: ', {SHAPES}}}]"])
    assert {name: medium.cue for name, medium in media_of(taught).items()} == {"image": "seen: "}


def test_zero_3_is_refused() -> None:
    with pytest.raises(UserError, match="zero_stage: 3 is not for modalities"):
        load(FIVE, ["training.zero_stage=3", "training.gradient_sum=deepspeed"])


@pytest.mark.parametrize("kind", ["none", "adapter_in_adapter"])
def test_adapters_of_modalities_are_not_for_classes(kind: str) -> None:
    with pytest.raises(UserError, match=f"model.adapter.kind: {kind} is for scenario.kind: modality_incremental"):
        load(FIVE.with_name("quickstart.yaml"), [f"model.adapter={{kind: {kind}}}"])

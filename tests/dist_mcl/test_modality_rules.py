"""What does not go together in an experiment is refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dist_mcl.config import load
from dist_mcl.errors import UserError

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
    assert set(experiment.model.backbone.media) == {"image", "video", "audio", "depth", "point_cloud"}
    smoke = load(FIVE, preset="smoke")
    assert (smoke.name, smoke.model.backbone.layers) == ("mcl_five_modalities-smoke", 6)
    assert [stage.modality for stage in smoke.scenario.stages] == [one.modality for one in experiment.scenario.stages]


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("exemplars.budget=1MiB", "exemplars.budget: 1048576 is for what modalities share, and adapter_in_adapter"),
        ("model.backbone=tiny", "model.backbone.kind: tiny does not answer questions; choose causal"),
        (
            "model.adapter={kind: ssf}",
            "model.adapter.kind: ssf is not for modalities; choose adapter_in_adapter",
        ),
        ("scenario.joint=true", "scenario.joint: adapter_in_adapter has adapters for each modality, learned in turn"),
        ("training.activation_checkpointing=true", "training.activation_checkpointing: adapters could not tell"),
        ("training.optimizer_state=keep", "training.optimizer_state: each modality trains its own; set reset"),
        (
            "training.distillation.teacher=previous",
            "distillation.teacher: previous is for what modalities share",
        ),
        ("training.distillation.teacher=stored", "training.distillation.teacher: stored logits are of classes"),
        ("training.consolidation=l2", "training.consolidation.kind: l2 is for what modalities share"),
        ("training.consolidation={kind: l2, decay: 0.5}", "training.consolidation: decay 0.5 is for kind: ewc"),
        ("model.backbone={kind: causal}", "model.backbone.media: has no video, which scenario.stages bring; add it"),
        (
            "model.backbone.media.audio={encoder: {kind: whisper-tiny.en, seconds: 2}}",
            "hears 2.0 seconds in 80 bins, and the tokens of audio are 1.0 seconds in 80 bins; make them equal",
        ),
        (
            "model.backbone.media.image={encoder: points}",
            "model.backbone.media.image.encoder: points takes tokens of point_cloud, and not of image",
        ),
        ("scenario={stages: 5}", "answers questions, which scenario.kind: class_incremental does not ask"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        load(FIVE, [override])
    assert complaint in str(refused.value)


def test_zero_3_is_refused() -> None:
    with pytest.raises(UserError, match="zero_stage: 3 is not for modalities"):
        load(FIVE, ["training.zero_stage=3", "training.gradient_sum=deepspeed"])


@pytest.mark.parametrize("kind", ["none", "full", "adapter_in_adapter"])
def test_adapters_of_modalities_are_not_for_classes(kind: str) -> None:
    with pytest.raises(UserError, match=f"model.adapter.kind: {kind} is for scenario.kind: modality_incremental"):
        load(FIVE.with_name("quickstart.yaml"), [f"model.adapter={{kind: {kind}}}"])


def test_sites_of_a_lora_are_for_modalities() -> None:
    lora = "model.adapter={kind: lora, sites: [{role: decoder, suffixes: [q_proj], count: 30}]}"
    assert load(FIVE, [lora]).model.adapter.sites[0].count == 30
    with pytest.raises(UserError, match=r"model\.adapter\.sites: a backbone of classes has its own for lora"):
        load(FIVE.with_name("quickstart.yaml"), [lora])


@pytest.mark.parametrize("setting", ["training.consolidation=ewc", "training.distillation.teacher=previous"])
def test_what_holds_to_earlier_stages_is_for_more_than_one(setting: str) -> None:
    with pytest.raises(UserError, match=r"is of earlier stages, and with scenario\.joint there are none; set none"):
        load(FIVE, ["model.adapter={kind: full}", "scenario.joint=true", setting])


def test_consolidation_is_for_modalities() -> None:
    with pytest.raises(UserError, match=r"training\.consolidation\.kind: l2 is for scenario\.kind"):
        load(FIVE.with_name("quickstart.yaml"), ["training.consolidation=l2"])


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("exemplars.masker=box", "exemplars.masker.kind: box is of pictures"),
        ("exemplars.scores=rollout", "exemplars.scores.kind: rollout is of encoders; choose attention"),
        ("exemplars.selection=entropy", "exemplars.selection: entropy is of classes"),
        ("exemplars.swap_probability=0.5", "exemplars.swap_probability: questions are not of a class"),
        ("exemplars.fresh_masking=0.5", "exemplars.fresh_masking: new questions come whole; set 0"),
        ("exemplars.dropped=black", "exemplars.dropped: black is of pictures"),
        ("exemplars.remask=0.5", "exemplars.remask: exemplars of questions are masked once"),
        ("evaluation.classifier=nearest_mean", "evaluation.classifier: nearest_mean is of classes"),
        ("scenario.joint=true", "is of earlier stages, and with scenario.joint there are none; set 0"),
    ],
)
def test_of_what_exemplars_of_classes_can_be_some_is_refused(override: str, complaint: str) -> None:
    with_memory = ["model.adapter={kind: lora}", "exemplars.budget=1MiB"]
    exemplars = load(FIVE, with_memory).exemplars
    assert (exemplars.swap_probability, exemplars.fresh_masking) == (0, 0)
    with pytest.raises(UserError) as refused:
        load(FIVE, [*with_memory, override])
    assert complaint in str(refused.value)


LORA = "model.adapter={kind: lora, sites: [{role: decoder, suffixes: [q_proj, v_proj], count: 60}]}"
FULL = "model.adapter={kind: full, roles: [connector, decoder]}"


@pytest.mark.parametrize(
    "settings",
    [
        ["model.adapter.parents=none"],
        [LORA],
        [FULL],
        [LORA, "training.consolidation={kind: ewc, weight: 1000, decay: 0.9, samples: 64}"],
        [FULL, "training.consolidation={kind: l2, weight: 0.1}"],
        [LORA, "training.distillation={teacher: previous, weight: 1, temperature: 2}"],
        [LORA, "exemplars={budget: 512KiB, masker: mean, scores: {kind: attention, layer: -1}}"],
        [FULL, "exemplars={budget: 512KiB, masker: {kind: random, image: 0.25}}", "training.consolidation=ewc"],
        [FULL, "scenario.joint=true"],
    ],
)
def test_every_baseline_is_a_setting_of_the_shipped_configuration(settings: list[str], tmp_path: Path) -> None:
    experiment = load(FIVE, settings)
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(experiment.model_dump(mode="json")))
    assert load(tmp_path / "whole.yaml") == experiment  # as a run's folder has it

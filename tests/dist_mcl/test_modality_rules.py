"""What does not go together in an experiment is refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dist_mcl.config import load
from dist_mcl.errors import UserError
from dist_mcl.media_rules import media_of

FIVE = Path(__file__).parents[2] / "configs" / "mcl_five_modalities.yaml"
NOTES, SHAPES = "data: {dataset: notes}", "data: {dataset: shapes}"


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
    captions = load(FIVE, preset="captions")
    assert all("caption" in stage.data[0].tasks for stage in captions.scenario.stages)
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
        ("scenario={stages: 5}", "answers questions, which scenario.kind: class_incremental does not ask"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        load(FIVE, [override])
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("parents", "complaint"),
    [
        ("{vidoe: [image]}", "no stage brings 'vidoe'; did you mean 'video'?"),
        ("{smell: [video]}", "no stage brings 'smell'; choose of image, video, audio, depth, point_cloud"),
        ("{audio: [depth]}", "audio: depth is not learned before audio; choose of video"),
        ("{audio: [audio]}", "audio: audio is not learned before audio; choose of video"),
        ("{audio: [video, vidoe]}", "audio: vidoe is not learned before audio; choose of video"),
        ("{depth: [image]}", "depth: image is the base, which has no adapters; choose of video, audio"),
        ("{video: [image]}", "video: image is the base, which has no adapters; write [], there is nothing yet"),
        ("{depth: [video, audio, video]}", "depth: names video 2 times; leave it in once"),
    ],
)
def test_a_modality_builds_on_earlier_ones_that_have_adapters(parents: str, complaint: str) -> None:
    fine = load(FIVE, ["model.adapter.parents={depth: [video, audio], point_cloud: [audio], image: []}"])
    assert fine.model.adapter.parents_of("depth", ("video", "audio")) == ("video", "audio")
    with pytest.raises(UserError) as refused:
        load(FIVE, [f"model.adapter.parents={parents}"])
    assert "model.adapter.parents" in str(refused.value) and complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_checkpoints_first_modality_may_have_adapters(tmp_path: Path) -> None:
    stages = f"scenario.stages=[{{modality: image, {SHAPES}}}, {{modality: audio, {NOTES}}}]"
    settings = [stages, "model.adapter.gate=top_k", "model.adapter.parents={audio: [image]}"]
    with pytest.raises(UserError, match="image is the base"):
        load(FIVE, settings)
    experiment = load(FIVE, [*settings, f"model.backbone.path={tmp_path}"])  # LLaVA's connector is not learned first
    assert experiment.model.adapter.parents_of("audio", ("image",)) == ("image",)


def test_a_token_goes_through_no_more_adapters_than_there_are() -> None:
    gate, pathweave = "model.adapter.gate=top_k", FIVE.with_name("pathweave_instructblip.yaml")
    for config, asked, parents in (
        (FIVE, 4, "chain"),
        (pathweave, 4, "chain"),
        (FIVE, 3, "{point_cloud: [video, audio]}"),
    ):
        settings = [gate, f"model.adapter.parents={parents}"]
        assert load(config, [*settings, f"model.adapter.top_k={asked}"])
        with pytest.raises(UserError) as refused:
            load(config, [*settings, f"model.adapter.top_k={asked + 1}"])
        complaint = (
            f"model.adapter.top_k: {asked + 1}, and no modality has more than {asked} adapters, its own and those"
        )
        assert complaint in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("parents", ["none", "{}", "{audio: [], point_cloud: []}"])
@pytest.mark.parametrize("where", ["gate=top_k", "sites=[{role: connector, suffixes: [x], count: 2, gate: top_k}]"])
def test_a_gate_with_nothing_to_choose_among_is_refused(parents: str, where: str) -> None:
    for settings in ([], ["model.adapter.top_k=2"], ["model.adapter.top_k=1"]):
        with pytest.raises(UserError) as refused:
            load(FIVE, [f"model.adapter.{where}", f"model.adapter.parents={parents}", *settings])
        place = "gate" if where.startswith("gate") else "sites: gate"
        assert f"model.adapter.{place}: top_k chooses among a modality's own adapter and those" in str(refused.value)
        assert "choose gate: none, or parents: chain" in str(refused.value) and "\n" not in str(refused.value)
    assert load(FIVE, ["model.adapter.gate=none", f"model.adapter.parents={parents}"])


def test_sites_that_all_have_another_gate_choose_among_nothing() -> None:
    sites = "model.adapter.sites=[{role: connector, suffixes: [x], count: 2, gate: none}]"
    assert load(FIVE, ["model.adapter.gate=top_k", "model.adapter.parents=none", sites])


@pytest.mark.parametrize("later", ["", f", {{modality: video, {SHAPES}}}"], ids=["the base alone", "one after it"])
def test_a_chain_that_has_only_begun_has_fewer_adapters_than_its_gate_will_take(later: str, tmp_path: Path) -> None:
    settings = ["model.adapter.gate=top_k", f"scenario.stages=[{{modality: image, {SHAPES}}}{later}]"]
    experiment = load(FIVE, settings)
    complete = tmp_path / "experiment.yaml"
    complete.write_text(yaml.safe_dump(experiment.model_dump(mode="json")))
    assert load(complete) == experiment  # where the number that was left out is written down
    most = 1 if later else 0
    with pytest.raises(UserError, match=f"top_k: 3, and no modality has more than {most} adapters.*; leave it out"):
        load(FIVE, [*settings, "model.adapter.top_k=3"])


def test_what_a_q_former_knows_already_is_no_parent_unless_a_stage_brings_it() -> None:
    pathweave = FIVE.with_name("pathweave_instructblip.yaml")
    with pytest.raises(UserError, match=r"parents\.video: image is the base, which has no adapters"):
        load(pathweave, ["model.adapter.parents={video: [image]}"])
    stages = f"scenario.stages=[{{modality: image, {SHAPES}}}, {{modality: video, {SHAPES}}}]"
    assert load(pathweave, [stages, "model.adapter.parents={video: [image]}"])


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
            "modality: image, data: {dataset: shapes, generation: {name: {beam: 5}}}",
            "scenario.stages.0.data.0.generation.name.beam: unknown key; did you mean 'beams'?",
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


def test_every_encoder_that_takes_the_tokens_is_for_both_backbones(tmp_path: Path) -> None:
    encoders = {
        "image": "efficientnet-lite0",
        "depth": f"{{kind: huggingface, path: {tmp_path}}}",
        "point_cloud": "points",
    }
    shown = ", ".join(f"{{modality: {name}, encoder: {encoder}, {SHAPES}}}" for name, encoder in encoders.items())
    stages = f"scenario.stages=[{shown}, {{modality: audio, encoder: whisper-tiny.en, {NOTES}}}]"
    for backbone in ("causal-tiny", "{kind: qformer, layout: tiny}"):
        media = media_of(load(FIVE, [stages, f"model.backbone={backbone}"]))
        kinds = [media[name].encoder.kind for name in (*encoders, "audio")]
        assert kinds == ["efficientnet-lite0", "huggingface", "points", "whisper-tiny.en"]
        assert media["audio"].place == "scenario.stages.3"


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [
        (
            "modality: audio, tokens: features, encoder: {kind: vectors, features: 8}",
            "its vectors are not in units; say tokens: {kind: features, units: NUMBER}",
        ),
        ("modality: audio", "whisper-tiny.en gives no units of audio; leave it out"),
        ("modality: depth", "instructblip gives no units of depth; leave it out"),
        ("modality: video", ""),
        ("modality: audio, encoder: {kind: custom, path: mine.py:Beats}", ""),
        ("modality: audio, tokens: {kind: features, units: 2}, encoder: {kind: vectors, features: 8}", ""),
    ],
)
def test_units_are_for_what_has_them(stage: str, complaint: str) -> None:
    data = NOTES if "audio" in stage else SHAPES
    overrides = [f"scenario.stages=[{{{stage}, units: true, {data}}}]", "model.backbone={kind: qformer, layout: tiny}"]
    if not complaint:
        assert load(FIVE, overrides).scenario.stages[0].units
        return
    with pytest.raises(UserError) as refused:
        load(FIVE, overrides)
    assert f"scenario.stages.0.units: true, but {complaint}" in str(refused.value)


def test_usual_encoders_of_a_q_former() -> None:
    media = media_of(load(FIVE, ["model.backbone={kind: qformer, layout: tiny}"]))
    usual = {name: medium.encoder.kind for name, medium in media.items()}
    assert usual == dict.fromkeys(("image", "video", "depth"), "instructblip") | {
        "audio": "whisper-tiny.en",
        "point_cloud": "points",
    }


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


@pytest.mark.parametrize(
    "setting", ["candidates=generate", "captions.meteor=true", "generation.beams=5", "generation={max_tokens: 30}"]
)
def test_answers_in_words_are_for_modalities(setting: str) -> None:
    field = setting.partition("=")[0].partition(".")[0]
    with pytest.raises(UserError, match=rf"evaluation\.{field}: classes are not answered in words; leave it out"):
        load(FIVE.with_name("quickstart.yaml"), [f"evaluation.{setting}"])
    assert load(FIVE.with_name("quickstart.yaml"), ["evaluation.candidates=rank", "evaluation.generation={beams: 1}"])
    assert load(FIVE, [f"evaluation.{setting}"])


@pytest.mark.parametrize("place", ["evaluation.generation", "scenario.stages.0.data.0.generation.name"])
def test_the_shortest_answer_is_no_longer_than_the_longest(place: str) -> None:
    stage = "{modality: image, data: {dataset: shapes, generation: {name: {min_tokens: 20}}}}"
    override = "evaluation.generation.min_tokens=20" if place.startswith("eval") else f"scenario.stages=[{stage}]"
    with pytest.raises(UserError, match=rf"{place}: min_tokens 20 is more than max_tokens 12; raise max_tokens"):
        load(FIVE, [override])


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
        ("exemplars.fresh_coding=true", "exemplars.fresh_coding: new questions come whole; set false"),
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

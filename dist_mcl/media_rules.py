"""What a backbone that answers questions is shown: encoders that are usual, and those that it cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dist_mcl.causal_config import CausalConfig, TinyCausalConfig
from dist_mcl.encoder_config import (
    Encoder,
    InstructBlipFeatures,
    Medium,
    MediumEntry,
    PictureFeatures,
    PointFeatures,
    SoundFeatures,
)
from dist_mcl.modality_config import AnyTokens, AudioTokens, FeatureTokens
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.question_config import ModalityIncremental, ModalityStage

if TYPE_CHECKING:
    from dist_mcl.config import Experiment

LanguageConfig = CausalConfig | TinyCausalConfig | QFormerConfig

_OF_CAUSAL = ("efficientnet-lite0", "whisper-tiny.en", "points", "huggingface", "vectors", "custom")
_OF_QFORMER = ("instructblip", *_OF_CAUSAL)

_PICTURES = ("image", "video", "depth")

# By the kind of tokens.
_USUAL_OF_CAUSAL: dict[str, Encoder] = {
    "image": PictureFeatures(),
    "depth": PictureFeatures(),
    "video": PictureFeatures(cells=2),
    "audio": SoundFeatures(),
    "point_cloud": PointFeatures(),
}
_USUAL_OF_QFORMER = _USUAL_OF_CAUSAL | dict.fromkeys(_PICTURES, InstructBlipFeatures())

_TAKES = {
    "efficientnet-lite0": _PICTURES,
    "instructblip": _PICTURES,
    "huggingface": _PICTURES,
    "whisper-tiny.en": ("audio",),
    "points": ("point_cloud",),
    "vectors": ("features",),
}
_BINS = 80  # of Whisper's sizes but the largest


def media_of(experiment: Experiment) -> dict[str, Medium]:
    """By modality, in the order of a prompt, what a backbone that answers questions is shown."""
    backbone, scenario = experiment.model.backbone, experiment.scenario
    assert isinstance(backbone, LanguageConfig) and isinstance(scenario, ModalityIncremental)
    stages = {
        stage.modality: stage.medium(f"scenario.stages.{number}", _usual(backbone, stage.tokens))
        for number, stage in enumerate(scenario.stages)
    }
    if isinstance(backbone, QFormerConfig):
        base = backbone.base.medium("model.backbone.base", InstructBlipFeatures())
        return {backbone.base.modality: base} | stages
    return stages


def check_media(backbone: LanguageConfig, stages: Sequence[ModalityStage]) -> None:
    """See that each modality has an encoder, which the backbone can have and which takes its tokens.

    Raises:
        ValueError: one does not; says which and the mend.
    """
    if isinstance(backbone, QFormerConfig):
        _check_entry("model.backbone.base", backbone.base, backbone)
    for number, stage in enumerate(stages):
        place = f"scenario.stages.{number}"
        _check_entry(place, stage, backbone)
        encoder = stage.encoder or _usual(backbone, stage.tokens)
        if encoder is None:
            raise ValueError(
                f"{place}.encoder: missing, and {backbone.kind} has no usual one for tokens of kind "
                f"{stage.tokens.kind}; add one of {', '.join(_kinds(backbone))}, such as {{kind: vectors, features: "
                "WIDTH}"
            )
        _check_takes(f"{place}.encoder", encoder, stage)
        if stage.units:
            _check_has_units(place, encoder, stage.tokens)


def _usual(backbone: LanguageConfig, tokens: AnyTokens) -> Encoder | None:
    usual = _USUAL_OF_QFORMER if isinstance(backbone, QFormerConfig) else _USUAL_OF_CAUSAL
    return usual.get(tokens.kind)


def _kinds(backbone: LanguageConfig) -> Sequence[str]:
    return _OF_QFORMER if isinstance(backbone, QFormerConfig) else _OF_CAUSAL


def _check_entry(place: str, entry: MediumEntry, backbone: LanguageConfig) -> None:
    if entry.encoder and entry.encoder.kind not in _kinds(backbone):
        raise ValueError(
            f"{place}.encoder: {entry.encoder.kind} is not for model.backbone.kind {backbone.kind}; choose one of "
            f"{', '.join(_kinds(backbone))}"
        )
    if entry.units and not isinstance(backbone, QFormerConfig):
        raise ValueError(f"{place}.units: true is for model.backbone.kind qformer, not {backbone.kind}; leave it out")


def _check_has_units(place: str, encoder: Encoder, tokens: AnyTokens) -> None:
    if isinstance(tokens, FeatureTokens) and tokens.units is None and encoder.kind == "vectors":
        raise ValueError(
            f"{place}.units: true, but its vectors are not in units; say tokens: {{kind: features, units: NUMBER}}, or "
            "leave it out"
        )
    if tokens.kind not in ("video", "features", "custom") and encoder.kind != "custom":
        raise ValueError(f"{place}.units: true, but {encoder.kind} gives no units of {tokens.kind}; leave it out")


def _check_takes(place: str, encoder: Encoder, stage: ModalityStage) -> None:
    tokens = stage.tokens
    forms = _TAKES.get(encoder.kind, (tokens.kind,))
    if tokens.kind not in (*forms, "custom"):
        raise ValueError(f"{place}: {encoder.kind} takes tokens of {', '.join(forms)}, and not of {tokens.kind}")
    if not (isinstance(encoder, SoundFeatures) and isinstance(tokens, AudioTokens)):
        return
    if (tokens.seconds, tokens.bins) != (encoder.seconds, _BINS):
        raise ValueError(
            f"{place}: hears {encoder.seconds} seconds in {_BINS} bins, and the tokens of {stage.modality} are "
            f"{tokens.seconds} seconds in {tokens.bins} bins; make them equal"
        )

"""The section `model.backbone` where it is a language model that is shown media; see docs/causal.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dist_mcl.modality_config import ImportPath, ModalityName
from dist_mcl.section import Section, named_kind


class PictureFeatures(Section):
    """EfficientNet-Lite0, pretrained on ImageNet and frozen: of pictures, depth maps and the frames of clips."""

    kind: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    side: int = Field(96, ge=32, description="pixels of the square to which a picture is scaled")
    cells: int = Field(3, ge=1, description="tokens along each side of a picture")


class SoundFeatures(Section):
    """The encoder of Whisper tiny.en, frozen."""

    kind: Literal["whisper-tiny.en"] = "whisper-tiny.en"
    seconds: float = Field(1.0, gt=0, le=30, description="of a recording, as its tokenizer makes them")
    pool: int = Field(5, ge=1, description="positions of 20 ms that are averaged to one token")


class PointFeatures(Section):
    """A small PointNet that trains with its modality."""

    kind: Literal["points"] = "points"
    features: int = Field(256, ge=1, description="width of what a group of points becomes")


class VectorFeatures(Section):
    """Vectors as they are, for modalities of kind features."""

    kind: Literal["vectors"]
    features: int = Field(ge=1, description="their width")


class CustomFeatures(Section):
    """An encoder of one's own: a `MediaEncoder` of dist_mcl.backbones.causal_encoders."""

    kind: Literal["custom"]
    path: ImportPath = Field(description="its class, as FILE.py:NAME or MODULE:NAME")
    options: dict[str, Any] = Field({}, description="what it is made with, as keywords")


Encoder = PictureFeatures | SoundFeatures | PointFeatures | VectorFeatures | CustomFeatures
_USUAL = {
    "image": {"kind": "efficientnet-lite0"},
    "depth": {"kind": "efficientnet-lite0"},
    "video": {"kind": "efficientnet-lite0", "cells": 2},
    "audio": {"kind": "whisper-tiny.en"},
    "point_cloud": {"kind": "points"},
}


class Medium(Section):
    """How a language model is shown one modality."""

    encoder: Annotated[Encoder, Field(discriminator="kind"), BeforeValidator(named_kind)] = Field(
        description="a section with its kind, or the kind alone"
    )
    cue: str = Field(description="what is said before its tokens, such as 'image: '")


def _completed(values: object) -> object:
    """The media with what is usual for a modality of that name where it is left out."""
    if not isinstance(values, dict):
        return values
    media = {}
    for name, given in values.items():
        usual = {"cue": f"{str(name).replace('_', ' ')}: "} | ({"encoder": _USUAL[name]} if name in _USUAL else {})
        media[name] = {**usual, **given} if isinstance(given, dict) else usual if given is None else given
    return media


def _folder_or_id(value: str) -> str:
    # A folder is meant from where the run is begun, wherever its processes run.
    return str(Path(value).expanduser().absolute()) if Path(value).expanduser().is_dir() else value


CheckpointPath = Annotated[str, AfterValidator(_folder_or_id)]


class CausalBackbone(Section):
    """A frozen decoder-only language model that is shown media; without a Q-Former."""

    kind: Literal["causal"]
    path: CheckpointPath = Field(
        "smollm2-135m-instruct",
        description="a language model of `mcl models list`, a folder, or owner/model of a fetched checkpoint; one that "
        "reads pictures itself (LLaVA and its like) brings its own encoder and projector",
    )
    media: Annotated[dict[ModalityName, Medium], BeforeValidator(_completed)] = Field(
        {"image": None},
        validate_default=True,
        min_length=1,
        description="by modality, its encoder and cue; a name alone has the usual ones",
    )
    prompt: str | None = Field(
        None, description="text with {media} and then {question}; the model's own chat template when left out"
    )
    layers: int | None = Field(None, ge=1, description="take the language model's first layers alone, for quick trials")
    connector_width: int = Field(512, ge=1, description="of the connector's inner layer")


class TinyCausalBackbone(Section):
    """The same with a tiny language model and random weights; for trying out a machine in seconds."""

    kind: Literal["causal-tiny"]
    media: Annotated[dict[ModalityName, Medium], BeforeValidator(_completed)] = Field(
        {"image": None}, validate_default=True, min_length=1, description="as of causal"
    )


class Generation(Section):
    """How a language model answers freely: the likeliest words, or the likeliest of some beams."""

    beams: int = Field(1, ge=1, description="1 is greedy; the published settings of PathWeave have 5")
    max_tokens: int = Field(12, ge=1, description="longest answer")
    min_tokens: int = Field(1, ge=0, description="shortest answer")
    repetition_penalty: float = Field(1.0, gt=0, description="above 1 repeats less, arXiv 1909.05858")
    length_penalty: float = Field(1.0, description="of beams: above 0 favours long answers")

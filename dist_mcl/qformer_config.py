"""The section `model.backbone` where it is a Q-Former before a language model; see docs/qformer.md."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dist_mcl.causal_config import CheckpointPath, CustomFeatures, VectorFeatures
from dist_mcl.modality_config import ModalityName
from dist_mcl.section import Section, named_kind


class InstructBlipFeatures(Section):
    """The InstructBLIP checkpoint's own picture encoder, frozen: of pictures, depth maps and the frames of clips."""

    kind: Literal["instructblip"] = "instructblip"


class HuggingFaceFeatures(Section):
    """Any picture encoder in Hugging Face's format, frozen, such as ViT, CLIP, SigLIP or DINO."""

    kind: Literal["huggingface"]
    path: str = Field(description="folder of a checkpoint, or owner/model of one that was fetched")


class QFormerMedium(Section):
    """How the Q-Former is shown one modality."""

    encoder: Annotated[
        InstructBlipFeatures | HuggingFaceFeatures | VectorFeatures | CustomFeatures,
        Field(discriminator="kind"),
        BeforeValidator(named_kind),
    ] = Field(InstructBlipFeatures(), description="a section with its kind, or the kind alone")
    units: bool = Field(
        False, description="a clip's moments, a recording's windows: the Q-Former sees them one by one, not all at once"
    )
    cue: str = Field(description="what is said before its tokens, such as 'image: '")


def _completed(values: object) -> object:
    """The media with the usual cue where there is none."""
    if not isinstance(values, dict):
        return values
    cues = {name: {"cue": f"{str(name).replace('_', ' ')}: "} for name in values}
    return {
        name: {**cues[name], **given} if isinstance(given, dict) else cues[name] if given is None else given
        for name, given in values.items()
    }


class QFormerBackbone(Section):
    """InstructBLIP (arXiv 2305.06500) with entries for several modalities, as X-InstructBLIP and PathWeave have it."""

    kind: Literal["qformer"]
    path: CheckpointPath | None = Field(
        None, description="folder of an InstructBLIP checkpoint, or owner/model of one that was fetched"
    )
    layout: Literal["instructblip-vicuna-7b", "tiny"] = Field(
        "instructblip-vicuna-7b",
        description="without a path: the sizes of random weights, to count parameters or to try out a machine",
    )
    media: Annotated[dict[ModalityName, QFormerMedium], BeforeValidator(_completed)] = Field(
        {"image": None},
        validate_default=True,
        min_length=1,
        description="by modality, in the order of a prompt, its encoder and cue; a name alone has InstructBLIP's",
    )
    prompt: str | None = Field(
        "{media}{question}", description="text with {media} and then {question}; the model's chat template when null"
    )

"""The section `model.backbone` where it is a Q-Former before a language model; see docs/qformer.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dist_mcl.encoder_config import CheckpointPath, MediumEntry
from dist_mcl.modality_config import ModalityName
from dist_mcl.section import Section


class BaseModality(MediumEntry):
    """The modality that the checkpoint knows already: no stage brings it, and it has no adapters."""

    modality: ModalityName = "image"


class QFormerConfig(Section):
    """InstructBLIP (arXiv 2305.06500) with entries for several modalities, as X-InstructBLIP and PathWeave have it."""

    kind: Literal["qformer"]
    path: CheckpointPath | None = Field(
        None, description="folder of an InstructBLIP checkpoint, or owner/model of one that was fetched"
    )
    layout: Literal["instructblip-vicuna-7b", "tiny"] = Field(
        "instructblip-vicuna-7b",
        description="without a path: the sizes of random weights, to count parameters or to try out a machine",
    )
    base: BaseModality = BaseModality()
    prompt: str | None = Field(
        "{media}{question}", description="text with {media} and then {question}; the model's chat template when null"
    )

"""The section `model.backbone` where it is a language model that is shown media; see docs/causal.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dist_mcl.encoder_config import CheckpointPath
from dist_mcl.section import Section


class CausalConfig(Section):
    """A frozen decoder-only language model that is shown media; without a Q-Former."""

    kind: Literal["causal"]
    path: CheckpointPath = Field(
        "smollm2-135m-instruct",
        description="a language model of `mcl models list`, a folder, or owner/model of a fetched checkpoint; one that "
        "reads pictures itself (LLaVA and its like) brings the encoder of `image` and the projector",
    )
    prompt: str | None = Field(
        None, description="text with {media} and then {question}; the model's own chat template when left out"
    )
    layers: int | None = Field(None, ge=1, description="take the language model's first layers alone, for quick trials")
    connector_width: int = Field(512, ge=1, description="of the connector's inner layer")


class TinyCausalConfig(Section):
    """The same with a tiny language model and random weights; for trying out a machine in seconds."""

    kind: Literal["causal-tiny"]

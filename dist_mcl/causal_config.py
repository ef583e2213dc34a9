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
        "reads pictures itself (LLaVA and its like) brings its own encoder and projector",
    )
    prompt: str | None = Field(
        None, description="text with {media} and then {question}; the model's own chat template when left out"
    )
    layers: int | None = Field(None, ge=1, description="take the language model's first layers alone, for quick trials")
    connector_width: int = Field(512, ge=1, description="of the connector's inner layer")


class TinyCausalConfig(Section):
    """The same with a tiny language model and random weights; for trying out a machine in seconds."""

    kind: Literal["causal-tiny"]


class Generation(Section):
    """How a language model answers freely: the likeliest words, or the likeliest of some beams."""

    beams: int = Field(1, ge=1, description="1 is greedy; the published settings of PathWeave have 5")
    max_tokens: int = Field(12, ge=1, description="longest answer")
    min_tokens: int = Field(1, ge=0, description="shortest answer")
    repetition_penalty: float = Field(1.0, gt=0, description="above 1 repeats less, arXiv 1909.05858")
    length_penalty: float = Field(1.0, description="of beams: above 0 favours long answers")

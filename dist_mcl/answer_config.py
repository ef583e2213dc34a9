"""How a model that answers in words is heard; see docs/causal.md."""

from __future__ import annotations

from pydantic import Field

from dist_mcl.section import Section


class Generation(Section):
    """How a language model answers freely: the likeliest words, or the likeliest of some beams."""

    beams: int = Field(1, ge=1, description="1 is greedy; the published settings of PathWeave have 5")
    max_tokens: int = Field(12, ge=1, description="longest answer")
    min_tokens: int = Field(1, ge=0, description="shortest answer")
    repetition_penalty: float = Field(1.0, gt=0, description="above 1 repeats less, arXiv 1909.05858")
    length_penalty: float = Field(1.0, description="of beams: above 0 favours long answers")

"""How a model answers in words, and how captions among its answers are scored; see docs/causal.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dist_mcl.section import Section

AS_CAPTIONS = ("caption", "conversation")
"""Tasks whose answers are sentences, which are scored as captions."""


class Generation(Section):
    """How a language model answers freely: the likeliest words, or the likeliest of some beams."""

    beams: int = Field(1, ge=1, description="1 is greedy; the published settings of PathWeave have 5")
    max_tokens: int = Field(12, ge=1, description="longest answer")
    min_tokens: int = Field(1, ge=0, description="shortest answer")
    repetition_penalty: float = Field(1.0, gt=0, description="above 1 repeats less, arXiv 1909.05858")
    length_penalty: float = Field(1.0, description="of beams: above 0 favours long answers")

    @model_validator(mode="after")
    def _shortest_is_no_longer_than_longest(self) -> Generation:
        if self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens {self.min_tokens} is more than max_tokens {self.max_tokens}; raise max_tokens"
            )
        return self


class CaptionScoring(Section):
    """How answers to questions of `AS_CAPTIONS` are scored, besides by BLEU, ROUGE-L and CIDEr."""

    meteor: bool = Field(False, description="add METEOR, a Java program: needs Java 8 or later")
    words: Literal["plain", "treebank"] = Field(
        "plain",
        description="how captions are cut into words: lower case, letters, digits and apostrophes; or by the Java "
        "program of published scores",
    )

"""The sections of `training` that hold a model to what it knew: an earlier model's answers, or its weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dist_mcl.section import Section


class Distillation(Section):
    """An earlier model's answers, to which the one in training is held besides the classes."""

    teacher: Literal["none", "previous", "stored"] = Field(
        "none",
        description="none; previous: the model of the stage before, on all that is learned, arXiv 1606.09282; stored: "
        "logits kept with each exemplar, in its bytes, since its own stage, arXiv 2004.07211",
    )
    weight: float = Field(1.0, gt=0, description="factor of this loss; that of the classes has 1")
    temperature: float = Field(2.0, gt=0, description="divides both models' logits, where the teacher is previous")


class Consolidation(Section):
    """How weights that all modalities share are held to what the stage before has left; see docs/baselines.md."""

    kind: Literal["none", "l2", "ewc"] = Field(
        "none",
        description="none; l2: all alike; ewc: each as much as it mattered to what was learned, arXiv 1612.00796",
    )
    weight: float = Field(1.0, gt=0, description="factor of half the squared distance")
    decay: float = Field(1.0, ge=0, le=1, description="of ewc: what earlier stages' importance is multiplied by")
    samples: int = Field(256, ge=1, description="of ewc: questions, evenly spaced, that a stage's importance is from")

    @model_validator(mode="after")
    def _only_ewc_has_importance(self) -> Consolidation:
        for name in ("decay", "samples"):
            if self.kind != "ewc" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} {getattr(self, name)} is for kind: ewc; set that, or remove it")
        return self

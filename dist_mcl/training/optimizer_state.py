"""What AdamW has gathered in a stage, for the stage that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE = "optimizer.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")
_STEPS = "steps"


@dataclass(frozen=True)
class OptimizerState:
    """AdamW after a stage, arXiv 1711.05101.

    Attributes:
        steps: that it has made since its moments were zero, over all stages.
        moments: "exp_avg.NAME" and "exp_avg_sq.NAME" of every parameter that trained; fp32, whole, on the CPU.
    """

    steps: int
    moments: Mapping[str, Tensor]

    def save(self, folder: Path) -> None:
        """Write `optimizer.safetensors` into a folder that is there."""
        save_file({**self.moments, _STEPS: torch.tensor(self.steps)}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> OptimizerState:
        """Read what `save` wrote."""
        tensors = load_file(folder / FILE)
        return cls(int(tensors.pop(_STEPS)), tensors)

    def grown(self, model: nn.Module) -> OptimizerState:
        """The same for a model that has further parameters, or further rows after the old ones: zeros for those."""
        moments = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                for moment in MOMENTS:
                    its = torch.zeros(parameter.shape)
                    old = self.moments.get(f"{moment}.{name}", its[:0])
                    its[: len(old)] = old
                    moments[f"{moment}.{name}"] = its
        return OptimizerState(self.steps, moments)

"""What every backbone has in common: its weights are frozen, and what trains on them stays fp32."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self, TypeVar

import torch
from torch import nn
from transformers import PretrainedConfig

from dist_mcl.tokens import Sample

M = TypeVar("M", bound=nn.Module)

# What Hugging Face's models draw by chance in training alone: dropped features, layers and paths, noise before routers.
_RATES = re.compile(r"drop|^jitter_noise$|^input_jitter_noise$|jitter_eps$")


def remove_dropout(model: M) -> M:
    """Let equal inputs give equal outputs in training too.

    Not so for PhiMoE, whose router draws by chance in training whatever its rates are.

    Args:
        model: one of Hugging Face's; is changed.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        _clear_rates(module)
    return model


def _clear_rates(holder: nn.Module | PretrainedConfig) -> None:
    """Some modules keep rates as numbers of their own; others look into the configuration, or a part of it."""
    for name, value in list(vars(holder).items()):
        if isinstance(value, PretrainedConfig):
            _clear_rates(value)
        elif isinstance(value, float) and _RATES.search(name):
            setattr(holder, name, 0.0)


class FrozenModel(nn.Module, ABC):
    """Dropout is 0 in all of them: equal inputs give equal outputs, in training too."""

    _is_bf16 = False

    @abstractmethod
    def checkpoint_activations(self) -> None:
        """From now on keep only the layers' inputs for the backward pass, and compute the rest again there."""

    @abstractmethod
    def keeps_fp32(self, name: str) -> bool:
        """Whether the parameter of this name stays fp32 under `use_bf16` even if it is a matrix."""

    def use_bf16(self) -> Self:
        """From now on keep matrices and embeddings in bf16, and compute with bf16 factors; all vectors stay fp32."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and not self.keeps_fp32(name):
                parameter.data = parameter.data.bfloat16()
        self._is_bf16 = True
        return self

    def use_fp32(self) -> Self:
        """From now on compute in fp32, with all weights as they are."""
        self.float()
        self._is_bf16 = False
        return self

    @property
    def preparing(self) -> nn.Module | None:
        """The frozen part that `prepare` runs on each sample by itself; None if samples need no preparation."""
        return None

    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples, with what never changes computed once and not in every epoch; in their order."""
        return list(samples)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def autocast(self) -> torch.autocast:
        """The precision that this backbone computes in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bf16)

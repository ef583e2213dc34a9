"""A linear map or a layer norm whose output is scaled and shifted, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn

_INITIAL_DEVIATION = 0.02  # of scale from 1 and of shift from 0, as in the authors' code


class SSFLayer(nn.Module, BaseTunerLayer):
    """y = scale * base(x) + shift, arXiv 2210.08823 equation 1, with one (C,) pair for each adapter name.

    Scale is drawn from N(1, 0.02) and shift from N(0, 0.02) with torch's global generator; both take the base layer's
    dtype and device. Several active adapters apply one after the other.
    """

    base_layer: nn.Linear | nn.LayerNorm
    adapter_layer_names = ("ssf_scale", "ssf_shift")

    def __init__(self, base_layer: nn.Linear | nn.LayerNorm, adapter_name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.ssf_scale = nn.ParameterDict()
        self.ssf_shift = nn.ParameterDict()
        self.merged_adapters: list[str] = []
        # As torch annotates weight and bias, which is None at run time where a linear map has none.
        self._parameters_before_merge: tuple[Tensor, nn.Parameter] | None = None
        self._active_adapter = adapter_name
        self.update_layer(adapter_name)

    def update_layer(self, adapter_name: str, inference_mode: bool = False) -> None:
        """Add an adapter with fresh parameters."""
        base = self.base_layer  # its weight may be sharded, and empty here
        channels = base.out_features if isinstance(base, nn.Linear) else base.normalized_shape[0]
        self.ssf_scale[adapter_name] = nn.Parameter(torch.normal(1.0, _INITIAL_DEVIATION, (channels,)))
        self.ssf_shift[adapter_name] = nn.Parameter(torch.normal(0.0, _INITIAL_DEVIATION, (channels,)))
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=inference_mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if name in self.ssf_scale:
                result = torch.addcmul(self.ssf_shift[name], result, self.ssf_scale[name]).to(result.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Fold the adapters into the weight and the bias of the base layer, which gets a bias if it had none.

        Raises:
            ValueError: `safe_merge`, and the merged parameters are not finite.
        """
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.ssf_scale]
        if not names:
            return
        weight, bias = self._folded(names)
        if safe_merge and not (weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError(f"adapters {', '.join(names)} hold numbers that are not finite; nothing was merged")
        base = self.base_layer
        if not self.merged:
            self._parameters_before_merge = (base.weight, base.bias)
        base.weight = nn.Parameter(weight.to(base.weight.dtype), requires_grad=False)
        base.bias = nn.Parameter(bias.to(base.weight.dtype), requires_grad=False)
        self.merged_adapters.extend(names)

    def _folded(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        weight = self.weight.detach()
        bias = weight.new_zeros(len(weight)) if self.bias is None else self.bias.detach()
        for name in names:
            scale, shift = self.ssf_scale[name].detach(), self.ssf_shift[name].detach()
            weight = torch.einsum("c...,c->c...", weight, scale)
            bias = bias * scale + shift
        return weight, bias

    def unmerge(self) -> None:
        """Put the base layer's own parameters back, exactly: they are kept aside, not divided out."""
        if self._parameters_before_merge is None:
            return
        self.base_layer.weight, self.base_layer.bias = self._parameters_before_merge
        self._parameters_before_merge = None
        self.merged_adapters.clear()

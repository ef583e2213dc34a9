"""A linear map to whose output the adapters on a modality's path are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn

from dist_mcl.adapter_config import AdapterForm
from dist_mcl.adapters.adapter_in_adapter.experts import Expert, Stack
from dist_mcl.adapters.adapter_in_adapter.path import ModalityPath, PathPart, Switch

_DEVIATION = 0.02  # of BERT's weights, by which the authors' code begins its maps


class AdapterInAdapterLayer(nn.Module, BaseTunerLayer):
    """y = base(x) + the mixture of a path's adapters, arXiv 2410.20178; adapters are named after their modalities.

    With input width d, output width o, rank r, and m adapters on its path, a modality has here `ana_down` d -> r and
    `ana_up` r -> o with biases and `ana_scale` (1,); for the m - 1 older adapters `ana_inner` (m - 1, r, r) and
    `ana_inner_bias` (m - 1, r); with m > 1 `ana_gate` and `ana_noise`, each (m, d). Older ones come in the order of
    `experts`, the modality itself last. No other modality's path uses any of them but `ana_down`, `ana_up` and
    `ana_scale`.

    Args:
        base_layer: stays as it is.
        switch: shared by all layers of a model.
    """

    base_layer: nn.Linear
    adapter_layer_names = ("ana_down", "ana_up", "ana_scale", "ana_inner", "ana_inner_bias", "ana_gate", "ana_noise")

    def __init__(self, base_layer: nn.Linear, switch: Switch) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.switch = switch
        self.ana_down = nn.ModuleDict()
        self.ana_up = nn.ModuleDict()
        self.ana_scale = nn.ParameterDict()
        self.ana_inner = nn.ParameterDict()
        self.ana_inner_bias = nn.ParameterDict()
        self.ana_gate = nn.ParameterDict()
        self.ana_noise = nn.ParameterDict()
        self.experts: dict[str, list[str]] = {}
        self.forms: dict[str, AdapterForm] = {}
        self.merged_adapters: list[str] = []
        self._parameters_before_merge: tuple[Tensor, nn.Parameter] | None = None

    def update_layer(self, modality: str, form: AdapterForm, ancestors: Sequence[str], nearest: str | None) -> None:
        """Add a modality's adapter with fresh values, from torch's global generator.

        Args:
            ancestors: whose adapters it uses where they are on this layer, oldest first.
            nearest: the parent whose in-adapters it inherits.

        Raises:
            ValueError: it has another rank than one of its ancestors.
        """
        older = [name for name in ancestors if name in self.forms]
        if other := [name for name in older if self.forms[name].rank != form.rank]:
            raise ValueError(f"{modality} has rank {form.rank} and {other[0]}, on which it builds, another; choose one")
        base, rank = self.base_layer, form.rank
        self.ana_down[modality], self.ana_up[modality] = _maps(base.in_features, rank, base.out_features, form)
        self.ana_scale[modality] = nn.Parameter(torch.ones(1))  # DeepSpeed takes no tensors without axes
        if older and form.in_adapter != "none":
            weight, bias = self._first_inner(older, form, nearest)
            self.ana_inner[modality], self.ana_inner_bias[modality] = nn.Parameter(weight), nn.Parameter(bias)
        if older and form.gate != "none":
            self.ana_gate[modality] = nn.Parameter(torch.zeros(len(older) + 1, base.in_features))
            if form.gate_noise:
                self.ana_noise[modality] = nn.Parameter(torch.zeros(len(older) + 1, base.in_features))
        self.experts[modality], self.forms[modality] = [*older, modality], form
        self._move_adapter_to_device_of_base_layer(modality)

    def _first_inner(self, older: Sequence[str], form: AdapterForm, nearest: str | None) -> tuple[Tensor, Tensor]:
        weight = _DEVIATION * torch.randn(len(older), form.rank, form.rank)
        bias = torch.zeros(len(older), form.rank)
        if form.in_adapter == "identity":
            weight = torch.eye(form.rank).repeat(len(older), 1, 1)
        elif form.in_adapter == "inherited" and nearest is not None and nearest in self.ana_inner:
            theirs = self.experts[nearest]
            for place, name in enumerate(older):
                if name in theirs[:-1]:
                    weight[place] = self.ana_inner[nearest][theirs.index(name)].detach()
                    bias[place] = self.ana_inner_bias[nearest][theirs.index(name)].detach()
        return weight, bias

    def delete_adapter(self, adapter_name: str) -> None:
        super().delete_adapter(adapter_name)
        self.experts.pop(adapter_name, None)
        self.forms.pop(adapter_name, None)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., o) from (..., d).

        Raises:
            ValueError: the path does not fit x, or another one is merged into the base layer.
        """
        if self.disable_adapters:
            self.unmerge()
            return self.base_layer(x, *args, **kwargs)
        path = self.switch.path or ModalityPath.of_all(self._active_modality())
        if self.merged:
            self._check_is_merged(path)
            return self.base_layer(x, *args, **kwargs)
        result = self.base_layer(x, *args, **kwargs)
        for part in path.parts:
            if part.modality in self.forms:
                result = self._adapted(result, x, path.shape, part)
        return result

    def _active_modality(self) -> str | None:
        if len(self.active_adapters) > 1:
            raise ValueError(f"{', '.join(self.active_adapters)} are active: say which path the call takes")
        return next(iter(self.active_adapters), None)

    def _adapted(self, result: Tensor, x: Tensor, shape: tuple[int, ...], part: PathPart) -> Tensor:
        stack = self._stack(part.modality)
        form = self.forms[part.modality]
        top_k = form.top_k if form.gate == "top_k" else None
        x = self._cast_input_dtype(x, stack.out.dtype)
        if part.places is None:
            return stack.add_to(result.to(stack.out.dtype), x, top_k).to(result.dtype)
        axes = len(shape)
        if x.shape[:axes] != shape:
            raise ValueError(f"the path is for inputs that begin with {shape}, a layer got {tuple(x.shape)}")
        flat, places = result.flatten(0, axes - 1), part.places
        rows = stack.add_to(flat[places].to(stack.out.dtype), x.flatten(0, axes - 1)[places], top_k)
        return flat.index_copy(0, places, rows.to(flat.dtype)).view(result.shape)

    def _stack(self, modality: str) -> Stack:
        inner = None
        if modality in self.ana_inner:
            inner = self.ana_inner[modality], self.ana_inner_bias[modality]
        noise = self.ana_noise.get(modality) if self.training else None
        experts = [self._expert(name) for name in self.experts[modality]]
        return Stack.of(experts, inner, self.ana_gate.get(modality), noise)

    def _expert(self, modality: str) -> Expert:
        down, up = (cast(nn.Linear, maps[modality]) for maps in (self.ana_down, self.ana_up))
        return Expert(down.weight, down.bias, up.weight, up.bias, self.ana_scale[modality])

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Fold one modality's path into the base layer. Exact only where the path has no gate: then it is linear in x.

        Raises:
            ValueError: the path has a gate, several paths are asked for, or `safe_merge` and the merged parameters are
                not finite. The layer is as it was then.
        """
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.forms]
        if not names:
            return
        self._check_is_linear_path(names)
        weight, bias = self._folded(names[0], safe_merge)
        base = self.base_layer
        self._parameters_before_merge = (base.weight, base.bias)
        base.weight, base.bias = (nn.Parameter(value, requires_grad=False) for value in (weight, bias))
        self.merged_adapters.extend(names)

    def check_merge(self, safe_merge: bool, adapter_names: Sequence[str] | None) -> None:
        """Raises ValueError where `merge` would, and changes nothing."""
        asked = self.active_adapters if adapter_names is None else adapter_names
        names = [name for name in asked if name in self.forms and name not in self.merged_adapters]
        if names:
            self._check_is_linear_path(names)
            if safe_merge:
                self._folded(names[0], safe_merge)

    def _check_is_linear_path(self, names: Sequence[str]) -> None:
        if self.merged or len(names) > 1:
            raise ValueError(f"only one path can be merged, not {', '.join([*self.merged_adapters, *names])}")
        if names[0] in self.ana_gate:
            raise ValueError(f"the path of {names[0]} has a gate, which weighs each token anew: it cannot be merged")

    def _folded(self, modality: str, is_checked: bool) -> tuple[Tensor, Tensor]:
        """Weight (o, d) and bias (o,) of the base layer and a path without a gate, in the base layer's dtype.

        Raises:
            ValueError: with `is_checked`, a number of them is not finite.
        """
        stack = self._stack(modality)
        weight, into, out = self.weight.detach(), stack.into.detach(), stack.out.detach()
        bias = weight.new_zeros(len(weight)) if self.bias is None else self.bias.detach()
        sums = weight + out @ into, bias + out @ stack.into_bias.detach()
        weight, bias = (value.to(self.weight.dtype) for value in sums)
        if is_checked and not (weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError(
                f"with the path of {modality} a layer holds numbers that are not finite; nothing was merged: load or "
                f"train {modality} again"
            )
        return weight, bias

    def _check_is_merged(self, path: ModalityPath) -> None:
        if [(part.modality, part.places) for part in path.parts] != [(self.merged_adapters[0], None)]:
            raise ValueError(f"the path of {self.merged_adapters[0]} is merged; unmerge it before another one is taken")

    def unmerge(self) -> None:
        """Put the base layer's own parameters back, exactly: they are kept aside, not subtracted from."""
        if self._parameters_before_merge is None:
            return
        self.base_layer.weight, self.base_layer.bias = self._parameters_before_merge
        self._parameters_before_merge = None
        self.merged_adapters.clear()


def _maps(width: int, rank: int, out: int, form: AdapterForm) -> tuple[nn.Linear, nn.Linear]:
    """The maps down and up of a new adapter; biases are 0. A fresh nn.Linear's weight is that of LoRA's map down."""
    down, up = nn.Linear(width, rank), nn.Linear(rank, out)
    nn.init.zeros_(down.bias)
    nn.init.zeros_(up.bias)
    if form.up == "zero":
        nn.init.zeros_(up.weight)
    else:
        nn.init.normal_(down.weight, std=_DEVIATION)
        nn.init.normal_(up.weight, std=_DEVIATION)
    return down, up

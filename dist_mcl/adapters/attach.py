"""Put an adapter on a backbone and find its parameters again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import torch
from peft import LoraConfig, LoraModel, PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.adapters.ssf import SSFConfig, SSFModel
from dist_mcl.config import SSFAdapter

ADAPTER_NAME = "default"  # PEFT's; it is not part of the names in a folder


def attach(
    backbone: nn.Module,
    config: SSFAdapter | LoRAAdapter,
    targets: Sequence[str],
    seed: int,
    dtype: torch.dtype | None = None,
) -> BaseTuner:
    """Wrap the targets in adapter layers, in place, and freeze every other parameter of the backbone.

    What else is to be trained, such as a head inside `backbone`, must be unfrozen afterwards. Equal seeds give equal
    adapters on every process; torch's global generator is left as it was.

    Args:
        backbone: carries no adapter yet.
        config: the kind of adapter and its settings.
        targets: full names of modules inside `backbone`, `nn.Linear` or `nn.LayerNorm`. LoRA is defined for linear
            maps and takes those alone.
        seed: of the initial values.
        dtype: of the adapter's parameters; that of the layer which they are on when left out.

    Returns:
        The tuner around `backbone`: PEFT's switches (`disable_adapter_layers`, `merge_adapter`, ...).

    Raises:
        ValueError: `backbone` carries an adapter already, a target is not in it or can not be wrapped.
    """
    return inject(backbone, _peft_config(backbone, config, targets), seed, dtype)


def inject(backbone: nn.Module, config: PeftConfig, seed: int, dtype: torch.dtype | None = None) -> BaseTuner:
    """`attach` for a configuration in PEFT's own form."""
    if adapter_parameters(backbone):
        raise ValueError("the backbone carries an adapter already")
    tuner = SSFModel if isinstance(config, SSFConfig) else LoraModel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        attached = tuner(backbone, config, ADAPTER_NAME)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = parameter.data.to(dtype or parameter.dtype)
    return attached


def adapter_parameters(backbone: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of the adapters on `backbone`, by their names in it; empty if it carries none."""
    layers = [
        f"{name}.{part}."
        for name, module in backbone.named_modules()
        if isinstance(module, BaseTunerLayer)
        for part in module.adapter_layer_names
    ]
    return {name: value for name, value in backbone.named_parameters() if name.startswith(tuple(layers))}


def _peft_config(backbone: nn.Module, config: SSFAdapter | LoRAAdapter, targets: Sequence[str]) -> PeftConfig:
    modules = dict(backbone.named_modules())
    missing = [name for name in targets if name not in modules]
    if missing:
        raise ValueError(f"the backbone has no module {', '.join(missing)}")
    if isinstance(config, SSFAdapter):
        return SSFConfig(target_modules=_exactly(targets))
    linear = [name for name in targets if isinstance(modules[name], nn.Linear)]
    # PEFT annotates alpha as int, and only ever divides it by the rank.
    alpha = cast(int, config.alpha)
    return LoraConfig(r=config.rank, lora_alpha=alpha, target_modules=_exactly(linear))


def _exactly(names: Sequence[str]) -> str:
    # A set would match every module whose name ends in one of these, a regular expression matches whole names.
    return "|".join(map(re.escape, names))

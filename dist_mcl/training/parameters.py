"""How many parameters each modality's stage trains, counted on a backbone without any memory for its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.adapters import adapter_parameters
from dist_mcl.adapters.adapter_in_adapter import add_modality, peft_config
from dist_mcl.backbones.encoding import EncodingBackbone

_KINDS = {
    "ana_down": "adapters",
    "ana_up": "adapters",
    "ana_scale": "adapters",
    "ana_inner": "in-adapters",
    "ana_inner_bias": "in-adapters",
    "ana_gate": "gates",
    "ana_noise": "gates",
}


@dataclass(frozen=True)
class StageCount:
    """What one modality's stage trains.

    Attributes:
        sites: by role, adapted layers.
        parts: by what it is, such as "qformer adapters" or "norm", parameters.
        full: parameters of a full fine-tuning of the same parts of the backbone, the modality's own ones included.
    """

    modality: str
    sites: dict[str, int]
    parts: dict[str, int]
    full: int

    @property
    def trained(self) -> int:
        """All of `parts`."""
        return sum(self.parts.values())

    @property
    def saved(self) -> float:
        """Share of the full fine-tuning's parameters that do not train."""
        return 1 - self.trained / self.full


def count_stages(backbone: EncodingBackbone, adapter: AdapterInAdapter) -> Iterator[StageCount]:
    """Add one modality after the other to a backbone and count what has a gradient; the first modality is the base.

    Args:
        backbone: without adapters; may be on the meta device.

    Raises:
        UserError: the adapter's sites are not those of the backbone.
        ValueError: a modality's parents are not learned before it.
    """
    base, *later = backbone.modalities
    roles = dict.fromkeys(sites.role for sites in adapter.sites)
    full = sum(parameter.numel() for role in roles for parameter in backbone.roles[role].parameters())
    for place, modality in enumerate(later):
        parents = adapter.parents_of(modality, tuple(later[:place]))
        config = peft_config(backbone, backbone.roles, adapter, parents, backbone.own_modules(modality))
        add_modality(backbone, modality, config, seed=0)
        sites = Counter[str]()
        for group, chosen in zip(config.groups, adapter.sites, strict=True):
            sites[chosen.role] += len(group["modules"])
        parts = _parts(backbone, modality)
        own = sum(number for name, number in parts.items() if " " not in name)
        yield StageCount(modality, dict(sites), parts, full + own)


def _parts(backbone: EncodingBackbone, modality: str) -> dict[str, int]:
    """Numbers of all that has a gradient, by role and kind of adapter parameter, or by name in the own modules."""
    trained = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    adapters = adapter_parameters(backbone)
    places = {role: _place(backbone, part) for role, part in backbone.roles.items()}
    own = backbone.own_modules(modality)
    counts = Counter[str]()
    for name, parameter in trained.items():
        if name in adapters:
            role = next(role for role, place in places.items() if name.startswith(f"{place}."))
            kind = next(_KINDS[word] for word in name.split(".") if word in _KINDS)
            counts[f"{role} {kind}"] += parameter.numel()
        else:
            prefix = next(module for module in own if name.startswith(f"{module}."))
            counts[name.removeprefix(f"{prefix}.").split(".")[0]] += parameter.numel()
    return dict(counts)


def _place(backbone: nn.Module, part: nn.Module) -> str:
    return next(name for name, module in backbone.named_modules() if module is part)


def total(backbone: nn.Module) -> int:
    """All parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in backbone.parameters())

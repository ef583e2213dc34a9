"""How many parameters each modality's stage trains, counted on a backbone without any memory for its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import nn

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.adapters import adapter_parameters
from dist_mcl.adapters.adapter_in_adapter import add_modality, peft_config
from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.qformer_folder import untrained_qformer
from dist_mcl.config import Experiment
from dist_mcl.errors import UserError
from dist_mcl.media_rules import media_of
from dist_mcl.packages.pretrained import checkpoint_files
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.units import percent

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


@dataclass(frozen=True)
class Counts:
    """Of a whole experiment.

    Attributes:
        base: the modalities that no stage brings: they are there already, and have no adapters.
        frozen: by part of the backbone, parameters that no stage trains.
    """

    base: list[str]
    frozen: dict[str, int]
    stages: list[StageCount]

    @property
    def largest(self) -> StageCount:
        """The stage that trains most."""
        return max(self.stages, key=lambda stage: stage.trained)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        stages = [{**vars(stage), "trained": stage.trained, "saved": stage.saved} for stage in self.stages]
        return {"base": self.base, "frozen": self.frozen, "stages": stages, "largest": self.largest.modality}

    def summary(self) -> str:
        """The largest stage, in a sentence."""
        stage = self.largest
        return (
            f"At most, with {stage.modality}, {stage.trained:,} parameters train: {percent(stage.saved, 2)} fewer than "
            f"the {stage.full:,} of full fine-tuning; {sum(self.frozen.values()):,} stay frozen."
        )


def count(experiment: Experiment) -> Counts:
    """What each stage of an experiment trains.

    Raises:
        UserError: it learns no modalities by adapter-in-adapter, its sites are not those of the backbone, or a modality
            builds on one that is not learned before.
    """
    backbone_config, adapter = experiment.model.backbone, experiment.model.adapter
    if not isinstance(backbone_config, QFormerConfig) or not isinstance(adapter, AdapterInAdapter):
        raise UserError(
            f"model: mcl params counts adapter-in-adapter on the backbone qformer, not {adapter.kind} on "
            f"{backbone_config.kind}; see configs/pathweave_instructblip.yaml"
        )
    if not adapter.sites:
        raise UserError("model.adapter.sites: none are said; mcl params counts those that are")
    assert isinstance(experiment.scenario, ModalityIncremental)  # the backbone is for no other
    stages = [stage.modality for stage in experiment.scenario.stages]
    media = media_of(experiment)
    base = [name for name in media if name not in stages]
    # Only those that a path names: the sizes of the others are known, and their weights are not needed.
    files = checkpoint_files(backbone_config.model_copy(update={"path": None}), media)
    with torch.device("meta"):
        backbone = untrained_qformer(backbone_config, media, files)
        frozen = _frozen(backbone)
    try:
        with torch.device("meta"):
            return Counts(base, frozen, list(count_stages(backbone, adapter, stages)))
    except ValueError as error:
        raise UserError(str(error)) from error


def count_stages(
    backbone: EncodingBackbone, adapter: AdapterInAdapter, modalities: Sequence[str]
) -> Iterator[StageCount]:
    """Add one modality after the other to a backbone and count what has a gradient.

    Args:
        backbone: without adapters; may be on the meta device.
        modalities: in the order in which they arrive.

    Raises:
        UserError: the adapter's sites are not those of the backbone.
        ValueError: a modality's parents are not learned before it.
    """
    roles = dict.fromkeys(sites.role for sites in adapter.sites)
    full = sum(parameter.numel() for role in roles for parameter in backbone.roles[role].parameters())
    for place, modality in enumerate(modalities):
        parents = adapter.parents_of(modality, tuple(modalities[:place]))
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


def _frozen(backbone: EncodingBackbone) -> dict[str, int]:
    """By part of the backbone, parameters that are not a modality's own."""
    own = [backbone.get_submodule(name) for modality in backbone.modalities for name in backbone.own_modules(modality)]
    mine = {id(parameter) for module in own for parameter in module.parameters()}
    parts = {
        name: sum(parameter.numel() for parameter in module.parameters() if id(parameter) not in mine)
        for name, module in backbone.named_children()
    }
    return {name: number for name, number in parts.items() if number}


def count_table(counts: Counts) -> Table:
    """A column for each stage."""
    table = Table("trains", *(stage.modality for stage in counts.stages))
    for role in dict.fromkeys(role for stage in counts.stages for role in stage.sites):
        table.add_row(f"{role} sites", *(str(stage.sites.get(role, 0)) for stage in counts.stages))
    for part in dict.fromkeys(part for stage in counts.stages for part in stage.parts):
        table.add_row(part, *(_number(stage.parts.get(part)) for stage in counts.stages))
    table.add_section()
    table.add_row("together", *(f"{stage.trained:,}" for stage in counts.stages))
    table.add_row("full fine-tuning", *(f"{stage.full:,}" for stage in counts.stages))
    table.add_row("saved", *(percent(stage.saved, 2) for stage in counts.stages))
    return table


def _number(value: int | None) -> str:
    return f"{value:,}" if value else ""

"""How many parameters each modality's stage trains, counted on a backbone without any memory for its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from torch import nn

from dist_mcl.adapters import adapter_parameters
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.config import Experiment
from dist_mcl.errors import UserError
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.load_language import language_backbone_without_weights
from dist_mcl.training.rehearsal import begun_stages
from dist_mcl.units import percent

_KINDS = {
    "ana_down": "adapters",
    "ana_up": "adapters",
    "ana_scale": "adapters",
    "ana_inner": "in-adapters",
    "ana_inner_bias": "in-adapters",
    "ana_gate": "gates",
    "ana_noise": "gates",
    "lora_A": "LoRA",
    "lora_B": "LoRA",
}


@dataclass(frozen=True)
class StageCount:
    """What one stage trains.

    Attributes:
        modality: that of the stage, or all of them where they are learned at once.
        sites: by role, adapted layers.
        parts: by what it is, parameters: "qformer adapters" or "connector weights" in a part that modalities share,
            "norm" in a modality's own modules.
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
            f"At most, with {stage.modality}, {stage.trained:,} parameters train: {_compared(stage.saved)} the "
            f"{stage.full:,} of full fine-tuning; {sum(self.frozen.values()):,} stay frozen."
        )


def _compared(saved: float) -> str:
    if saved == 0:
        return "as many as"
    return f"{percent(abs(saved), 2)} {'fewer' if saved > 0 else 'more'} than"


def count(experiment: Experiment) -> Counts:
    """What each stage of an experiment trains.

    Raises:
        UserError: it learns no modalities; its language model, or an encoder that it names by a path, is not there; or
            the adapter's sites, roles or parents are not those of the backbone.
    """
    if not isinstance(experiment.scenario, ModalityIncremental):
        raise UserError(
            f"scenario.kind: {experiment.scenario.kind} brings no modalities, and mcl params counts what their stages "
            "train; see configs/pathweave_instructblip.yaml"
        )
    backbone = language_backbone_without_weights(experiment, has_encoders=True)
    brought = [stage.modality for stage in experiment.scenario.stages]
    at_rest = _by_part(backbone)
    stages = []
    for stage, trained in _count_stages(backbone, experiment):
        stages.append(stage)
        at_rest = {name: parameters - trained for name, parameters in at_rest.items()}
    frozen = {name: _size(parameters) for name, parameters in at_rest.items() if parameters}
    return Counts([name for name in backbone.modalities if name not in brought], frozen, stages)


def _count_stages(backbone: LanguageBackbone, experiment: Experiment) -> Iterator[tuple[StageCount, set[nn.Parameter]]]:
    """Each stage, and all that trains in it."""
    sizes = {role: _size(part.parameters()) for role, part in backbone.roles.items()}
    for modalities in begun_stages(Answerer(backbone), experiment):
        trained = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
        sites, parts = _counted(backbone, modalities, trained)
        roles = {name.partition(" ")[0] for name in parts if " " in name}
        own = sum(number for name, number in parts.items() if " " not in name)
        full = own + sum(sizes[role] for role in roles)
        yield StageCount(", ".join(modalities), sites, parts, full), set(trained.values())


def _counted(
    backbone: LanguageBackbone, modalities: Sequence[str], trained: Mapping[str, nn.Parameter]
) -> tuple[dict[str, int], dict[str, int]]:
    """Adapted layers by role; and sizes by role and kind of parameter, or by name in the modalities' own modules."""
    adapters = adapter_parameters(backbone)
    places = {role: _place(backbone, part) for role, part in backbone.roles.items()}
    own = [module for modality in modalities for module in backbone.own_modules(modality)]
    sites: dict[str, set[str]] = {}
    counts = Counter[str]()
    for name, parameter in trained.items():
        if prefix := next((module for module in own if name.startswith(f"{module}.")), None):
            counts[name.removeprefix(f"{prefix}.").split(".")[0]] += parameter.numel()
            continue
        role = next(role for role, place in places.items() if name.startswith(f"{place}."))
        word = next((word for word in name.split(".") if word in _KINDS), None) if name in adapters else None
        counts[f"{role} {_KINDS[word] if word else 'weights'}"] += parameter.numel()
        if word:
            sites.setdefault(role, set()).add(name.partition(f".{word}.")[0])
    return {role: len(layers) for role, layers in sites.items()}, dict(counts)


def _place(backbone: nn.Module, part: nn.Module) -> str:
    return next(name for name, module in backbone.named_modules() if module is part)


def _by_part(backbone: LanguageBackbone) -> dict[str, set[nn.Parameter]]:
    """By part of the backbone, parameters that are not a modality's own."""
    own = {name for modality in backbone.modalities for name in backbone.own_modules(modality)}
    mine = {parameter for name in own for parameter in backbone.get_submodule(name).parameters()}
    return {name: set(module.parameters()) - mine for name, module in backbone.named_children()}


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


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

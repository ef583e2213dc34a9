"""The section `model.adapter` where modalities are learned; see docs/adapters.md and docs/baselines.md."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dist_mcl.section import Section

UpInit = Literal["normal", "zero"]
InAdapter = Literal["inherited", "identity", "normal", "none"]
Gate = Literal["dense", "top_k", "none"]

# What a preset says of the fields that are left out. `official` is what the authors' code trains.
_PRESETS = {
    "official": {"up": "normal", "in_adapter": "inherited"},
    "fixed": {"up": "zero", "in_adapter": "identity"},
}


class AdapterForm(Section):
    """How one adapter-in-adapter is made, arXiv 2410.20178; the form is the same at all sites of a group."""

    rank: int = Field(8, ge=1, description="width of every adapter's bottleneck")
    up: UpInit = Field(
        "normal",
        description="a new adapter begins as noise, normal: both maps N(0, .02), as in the authors' Q-Former; or "
        "without effect, zero: the map down as LoRA has it, the map up zeros",
    )
    in_adapter: InAdapter = Field(
        "inherited",
        description="what stands inside an older adapter and begins as N(0, .02), as the identity, as the nearest "
        "parent has left it (N(0, .02) where that has none), or none at all",
    )
    gate: Gate = Field(
        "dense",
        description="how older adapters and the new one are mixed, token by token: softmax of all, softmax of the "
        "top_k largest, or none: a plain sum",
    )
    top_k: int = Field(2, ge=1, description="adapters that a token goes through, where gate is top_k")
    gate_noise: bool = Field(True, description="learned noise on the gate while training, arXiv 1701.06538")


class Sites(Section):
    """Linear layers of one part of the backbone."""

    role: str = Field(
        description="part of the backbone that they are in, such as qformer, connector or decoder, wherever the "
        "library's version has put it"
    )
    suffixes: tuple[str, ...] = Field(min_length=1, description="what their names end in, in whole words between dots")
    count: int = Field(ge=1, description="how many there must be; another number is refused")


class AdapterSites(Sites):
    """Linear layers of one part of the backbone that get adapters of one form."""

    rank: int | None = Field(None, ge=1, description="as the adapter says when left out")
    up: UpInit | None = Field(None, description="as the adapter says when left out")
    in_adapter: InAdapter | None = Field(None, description="as the adapter says when left out")
    gate: Gate | None = Field(None, description="as the adapter says when left out")

    def form(self, adapter: AdapterForm) -> AdapterForm:
        """What these sites get: their own fields, and the adapter's where they have none."""
        common = {name: getattr(adapter, name) for name in AdapterForm.model_fields}
        own = {name: getattr(self, name) for name in ("rank", "up", "in_adapter", "gate")}
        return AdapterForm(**common | {name: value for name, value in own.items() if value is not None})


class AdapterInAdapter(AdapterForm):
    """PathWeave, arXiv 2410.20178: a small adapter per modality; later modalities use those of earlier ones, too."""

    kind: Literal["adapter_in_adapter"]
    preset: Literal["official", "fixed"] = Field(
        "official",
        description="for fields that are left out. official: up normal, in_adapter inherited; fixed: up zero, "
        "in_adapter identity, so that a stage begins with what the older adapters do",
    )
    sites: tuple[AdapterSites, ...] = Field((), description="the connector's linear layers when left out")
    parents: Literal["chain", "none"] | dict[str, tuple[str, ...]] = Field(
        "chain",
        description="whose adapters a modality builds on: chain, the one before and so all before; none, nobody's: "
        "independent adapters, the control; or of each modality the list of its parents. A modality's own modules "
        "begin as those of the one before in any case",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: object) -> object:
        preset = values.get("preset", "official") if isinstance(values, dict) else None
        return {**_PRESETS[preset], **values} if isinstance(values, dict) and preset in _PRESETS else values

    @model_validator(mode="after")
    def _only_top_k_has_a_number(self) -> AdapterInAdapter:
        gates = {self.gate, *(sites.gate for sites in self.sites)}
        if self.top_k != AdapterForm().top_k and "top_k" not in gates:
            raise ValueError(f"top_k {self.top_k} is for gate: top_k; set that, or remove it")
        return self

    @field_validator("parents")
    @classmethod
    def _a_parent_is_one_parent(cls, parents: str | dict[str, tuple[str, ...]]) -> str | dict[str, tuple[str, ...]]:
        for modality, names in parents.items() if isinstance(parents, dict) else ():
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{modality}: names {twice[0]} {len(twice)} times; leave it in once")
        return parents

    def parents_of(self, modality: str, earlier: tuple[str, ...], base: Collection[str] = ()) -> tuple[str, ...]:
        """The modalities on which one builds.

        Args:
            earlier: the modalities that have adapters already, oldest first.
            base: modalities that are learned and have none.

        Raises:
            ValueError: `parents` names one that is not among the earlier ones.
        """
        if self.parents == "none":
            return ()
        if self.parents == "chain":
            return earlier[-1:]
        parents = self.parents.get(modality, ())
        if wrong := [name for name in parents if name not in earlier]:
            is_what = "is the base, which has no adapters" if wrong[0] in base else f"is not learned before {modality}"
            mend = f"choose of {', '.join(earlier)}" if earlier else "write [], there is nothing yet to build on"
            raise ValueError(f"model.adapter.parents.{modality}: {wrong[0]} {is_what}; {mend}")
        return parents


class LoRAAdapter(Section):
    """Low-rank adaptation, arXiv 2106.09685, as PEFT implements it. One, on which every stage trains on."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(8, ge=1)
    alpha: float = Field(16, gt=0)
    sites: tuple[Sites, ...] = Field(
        (), description="where modalities are learned: the layers that get it, the connector's when left out"
    )


class FullFineTuning(Section):
    """No adapters: every modality trains the weights themselves again. The control that forgets."""

    kind: Literal["full"]
    roles: tuple[str, ...] = Field(
        ("connector", "decoder"), min_length=1, description="parts of the backbone whose weights train"
    )


class NoAdapter(Section):
    """No adapters: every modality trains the connector again, which is `full` with that one role."""

    kind: Literal["none"]


ModalityAdapter = AdapterInAdapter | LoRAAdapter | FullFineTuning | NoAdapter

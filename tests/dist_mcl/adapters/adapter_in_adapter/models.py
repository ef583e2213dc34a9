"""A small model with adapters of several modalities, and the formula that they are to follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dist_mcl.adapter_config import AdapterInAdapter, AdapterSites
from dist_mcl.adapters.adapter_in_adapter import add_modality, modality_parameters, peft_config
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer

Parents = Mapping[str, Sequence[str]]
CHAIN: Parents = {"video": [], "audio": ["video"], "depth": ["audio"], "points": ["depth"]}
SITES = (AdapterSites(role="body", suffixes=("inner", "outer"), count=2),)


class Entries(nn.Module):
    """A norm for each modality, and one of the base's."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: nn.LayerNorm(12) for name in ("image", *CHAIN, "imu")})


class Model(nn.Module):
    """Two linear layers that take adapters, and one that does not; a norm of its own for each modality."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = Entries()
        self.body = nn.ModuleDict({"inner": nn.Linear(12, 20), "outer": nn.Linear(20, 6, bias=False)})
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor, modality: str = "image") -> Tensor:
        hidden = self.body["inner"](self.entries.norms[modality](x))
        return self.head(self.body["outer"](torch.tanh(hidden)))

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"body": self.body, "head": self.head}


def make_model(seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model().eval()


def config_of(**fields: object) -> AdapterInAdapter:
    return AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 3, "sites": SITES, **fields})


def learn(model: Model, modality: str, parents: Sequence[str], adapter: AdapterInAdapter, seed: int = 0) -> None:
    """Add a modality and leave all that is its own as training would: off its start."""
    own = [f"entries.norms.{modality}"]
    config = peft_config(model, model.roles, adapter, parents, own, ["head"])
    add_modality(model, modality, config, seed)
    generator = torch.Generator().manual_seed(sum(map(ord, modality)))
    with torch.no_grad():
        for parameter in modality_parameters(model, modality).values():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def learned(parents: Parents = CHAIN, **fields: object) -> Model:
    model = make_model()
    for modality, names in parents.items():
        learn(model, modality, names, config_of(**fields))
    return model.eval()


def closed_form(layer: AdapterInAdapterLayer, modality: str, x: Tensor) -> Tensor:
    """Section 0 of the method, an expert at a time, without noise."""
    experts, form = layer.experts[modality], layer.forms[modality]
    outputs = []
    for place, name in enumerate(experts):
        hidden = layer.ana_down[name](x)
        if name != modality and modality in layer.ana_inner:
            hidden = nn.functional.linear(
                hidden, layer.ana_inner[modality][place], layer.ana_inner_bias[modality][place]
            )
        outputs.append(layer.ana_scale[name] * layer.ana_up[name](hidden))
    weights = torch.ones(*x.shape[:-1], len(experts))
    if modality in layer.ana_gate:
        logits = x @ layer.ana_gate[modality].T
        if form.gate == "top_k" and form.top_k < len(experts):
            least = logits.sort(-1, descending=True).values[..., form.top_k - 1, None]
            logits = logits.masked_fill(logits < least, -torch.inf)
        weights = logits.softmax(-1)
    mixed = sum(weights[..., place, None] * output for place, output in enumerate(outputs))
    return layer.base_layer(x) + mixed

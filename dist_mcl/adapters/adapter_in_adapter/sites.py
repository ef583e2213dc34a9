"""Where adapters go: linear layers by the part that they are in, the ends of their names, and their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from dist_mcl.adapter_config import AdapterInAdapter, Sites
from dist_mcl.adapters.adapter_in_adapter.config import AdapterInAdapterConfig
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer
from dist_mcl.errors import UserError


def find_sites(backbone: nn.Module, roles: Mapping[str, nn.Module], sites: Sites) -> list[str]:
    """Full names of the layers that `sites` means, in the order of the backbone's modules.

    Args:
        backbone: with or without adapters on it.
        roles: parts of the backbone by what they do; a part may be a linear layer itself.

    Raises:
        UserError: there is no such part, nothing ends in one of the suffixes, or the number is not the declared one,
            as after a renaming in a new version of the library.
    """
    if sites.role not in roles:
        raise UserError(f"model.adapter.sites: role {sites.role!r}: this backbone has {', '.join(roles)}; choose one")
    linear = list(_linear_layers(roles[sites.role], _place(backbone, roles[sites.role])))
    found = [name for name in linear if any(_ends_in(name, suffix) for suffix in sites.suffixes)]
    idle = [suffix for suffix in sites.suffixes if not any(_ends_in(name, suffix) for name in linear)]
    if idle or len(found) != sites.count:
        raise UserError(
            f"model.adapter.sites: {len(found)} linear layers of the {sites.role} end in {', '.join(sites.suffixes)}, "
            f"and count says {sites.count}{f'; none in {idle[0]}' if idle else ''}; it has {_endings(linear)}"
        )
    return found


def peft_config(
    backbone: nn.Module,
    roles: Mapping[str, nn.Module],
    adapter: AdapterInAdapter,
    parents: Sequence[str] = (),
    own_modules: Sequence[str] = (),
    base_modules: Sequence[str] = (),
) -> AdapterInAdapterConfig:
    """A modality's adapters on a backbone, as PEFT wants to have them said.

    Args:
        parents: modalities on which it builds, the nearest last; they have their adapters on the backbone already.
        own_modules: names of modules of the backbone that are this modality's alone.
        base_modules: names of frozen modules that it goes through besides the parts that its adapters are on, or in;
            it is loaded only where all of these are as they were, bit for bit. None of them holds own modules.

    Raises:
        UserError: as `find_sites`, or two groups of sites share a layer.
        ValueError: a parent has no adapters.
    """
    known: dict[str, AdapterInAdapterConfig] = getattr(backbone, "peft_config", {})
    if strange := [name for name in parents if name not in known]:
        raise ValueError(f"the parent {strange[0]} has no adapters on this backbone")
    groups = [
        {"modules": find_sites(backbone, roles, sites), **sites.form(adapter).model_dump()} for sites in adapter.sites
    ]
    names = [name for group in groups for name in group["modules"]]
    if shared := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(f"model.adapter.sites: {shared[0]} is in two groups; leave it in one")
    above = {name for parent in parents for name in (*known[parent].ancestors, parent)}
    ancestors = [name for name in known if name in above]  # oldest first: in the order in which they were added
    return AdapterInAdapterConfig(
        parents=list(parents),
        ancestors=ancestors,
        groups=groups,
        own_modules=list(own_modules),
        base_modules=_outermost([*base_modules, *(_place(backbone, roles[sites.role]) for sites in adapter.sites)]),
    )


def _outermost(names: Sequence[str]) -> list[str]:
    """Each module once, and none that is inside another one."""
    return [name for name in dict.fromkeys(names) if not any(name.startswith(f"{other}.") for other in names)]


def _place(backbone: nn.Module, part: nn.Module) -> str:
    return next(name for name, module in backbone.named_modules() if module is part)


def _linear_layers(part: nn.Module, place: str) -> Iterator[str]:
    if isinstance(part, nn.Linear | AdapterInAdapterLayer):
        yield place
    else:
        for name, child in part.named_children():
            yield from _linear_layers(child, f"{place}.{name}" if place else name)


def _ends_in(name: str, suffix: str) -> bool:
    return f".{name}".endswith(f".{suffix}")


def _endings(names: Sequence[str]) -> str:
    """The last two words of the names, each once."""
    return ", ".join(dict.fromkeys(".".join(name.split(".")[-2:]) for name in names)) or "no linear layers"

"""A backbone's modalities: add one, train it, choose whose path a call takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from dist_mcl.adapters.adapter_in_adapter.config import AdapterInAdapterConfig
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer
from dist_mcl.adapters.adapter_in_adapter.model import AdapterInAdapterModel
from dist_mcl.adapters.adapter_in_adapter.path import ModalityPath, Switch
from dist_mcl.adapters.attach import adapter_parameters

MODALITY_NAME = re.compile(r"[A-Za-z0-9_-]+")  # a folder's name too


def add_modality(
    backbone: nn.Module, modality: str, config: AdapterInAdapterConfig, seed: int, dtype: torch.dtype | None = None
) -> AdapterInAdapterModel:
    """Put a modality's fresh adapters on the backbone, in place, and make them all that trains.

    What else trains are the modules that `config` says are this modality's own; their values stay as they are. Equal
    seeds give equal adapters on every process; torch's global generator is left as it was.

    Args:
        config: from `peft_config`.
        dtype: of the adapters; that of the layers which they are on when left out.

    Returns:
        The tuner around the backbone, with PEFT's switches (`disable_adapter_layers`, `merge_adapter`, ...).

    Raises:
        ValueError: the modality has adapters already, its name is none, the backbone carries other adapters, a path is
            merged, or the ranks are not those of the modalities on which it builds. The backbone is as it was then.
    """
    if not MODALITY_NAME.fullmatch(modality):
        raise ValueError(f"{modality!r} names no modality: letters, digits, _ and - make a name")
    switch = _switch(backbone)
    if switch is None and adapter_parameters(backbone):
        raise ValueError("the backbone carries adapters of another kind")
    with undone_on_failure(backbone, [modality]):
        tuner = _inject(backbone, switch, modality, config, seed)
        for name, parameter in modality_parameters(backbone, modality).items():
            if not name.startswith(tuple(f"{own}." for own in config.own_modules)):
                parameter.data = parameter.data.to(dtype or parameter.dtype)
        tuner.set_adapter(modality)
    return tuner


@contextmanager
def undone_on_failure(
    backbone: nn.Module, modalities: Sequence[str], own_modules: Sequence[str] = ()
) -> Iterator[None]:
    """Where what is done inside fails, the adapters that it has given to these modalities are taken off again.

    What trains, which adapter is active, and the values of those `own_modules` that there are, are then as before.

    Raises:
        ValueError: one of the modalities has adapters already, or a path is merged, which PEFT would undo.
    """
    if merged := [name for layer in _layers_of(backbone).values() for name in layer.merged_adapters]:
        raise ValueError(f"the path of {merged[0]} is merged; unmerge it before a modality is added")
    if twice := [name for name in modalities if name in getattr(backbone, "peft_config", {})]:
        raise ValueError(f"{twice[0]} has adapters on this backbone already")
    trained = {id(parameter) for parameter in backbone.parameters() if parameter.requires_grad}
    own = tuple(f"{name}." for name in own_modules)
    values = [(one, one.detach().clone()) for name, one in backbone.named_parameters() if name.startswith(own)]
    switch = _switch(backbone)
    active = switch.tuner.active_adapters if switch else []
    try:
        yield
    except BaseException:
        _take_off(backbone, modalities, active)
        with torch.no_grad():
            for parameter, value in values:
                parameter.copy_(value)
        for parameter in backbone.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        raise


def modality_parameters(backbone: nn.Module, modality: str) -> dict[str, nn.Parameter]:
    """All that is a modality's alone, by names in the backbone: its adapters, and its own modules' parameters.

    Raises:
        ValueError: it has no adapters on this backbone.
    """
    _check_known(backbone, {modality})
    config: AdapterInAdapterConfig = cast(Any, backbone).peft_config[modality]
    prefixes = [f"{name}." for name in config.own_modules]
    for name, layer in _layers_of(backbone).items():
        prefixes += [f"{name}.{part}.{modality}." for part in layer.adapter_layer_names]
    found = tuple(prefixes)
    return {name: value for name, value in backbone.named_parameters() if f"{name}.".startswith(found)}


@contextmanager
def on_path(backbone: nn.Module, path: ModalityPath) -> Iterator[None]:
    """Calls of the backbone inside take this path; outside they take that of the active adapter.

    Where activations are computed again for the backward pass, that pass belongs inside too.

    Raises:
        ValueError: the path's modalities have no adapters on this backbone.
    """
    _check_known(backbone, path.modalities)
    switch = _switch(backbone)
    if switch is None:
        yield
        return
    before, switch.path = switch.path, path
    try:
        yield
    finally:
        switch.path = before


class ModalityPaths:
    """Paths of a backbone's calls by what is in them, for backbones that show media to a language model.

    A modality that has no adapters takes the base's path, as words do.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone

    def of(self, modality: str | None) -> AbstractContextManager[None]:
        """All that is called inside is of this modality; words where it is None."""
        known = getattr(self._backbone, "peft_config", {})
        return on_path(self._backbone, ModalityPath.of_all(modality if modality in known else None))

    def among_words(self, media: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Tokens are of a modality where its (B, L) bool says so; others are words."""
        known = getattr(self._backbone, "peft_config", {})
        where = {name: mask for name, mask in media.items() if name in known}
        if not where:
            return self.of(None)
        index = torch.full_like(next(iter(where.values())), -1, dtype=torch.int64)
        for number, mask in enumerate(where.values()):
            index[mask] = number
        return on_path(self._backbone, ModalityPath.of_tokens(list(where), index))


def _inject(
    backbone: nn.Module, switch: Switch | None, modality: str, config: AdapterInAdapterConfig, seed: int
) -> AdapterInAdapterModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if switch is None:
            return AdapterInAdapterModel(backbone, config, modality)
        switch.tuner.peft_config[modality] = config
        switch.tuner.inject_adapter(backbone, modality, autocast_adapter_dtype=False)
        return switch.tuner


def _take_off(backbone: nn.Module, modalities: Sequence[str], active: list[str]) -> None:
    """Remove modalities' adapters, however many layers have got theirs, and layers that have no others."""
    for modality in modalities:
        getattr(backbone, "peft_config", {}).pop(modality, None)
    for name, layer in _layers_of(backbone).items():
        layer.set_adapter(active)
        for modality in modalities:
            layer.delete_adapter(modality)
        if not layer.forms:
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, layer.base_layer)
    if switch := _switch(backbone):
        switch.tuner.set_adapter(active)
    elif hasattr(backbone, "peft_config"):
        del backbone.peft_config  # by which PEFT tells that a model has adapters


def _layers_of(backbone: nn.Module) -> dict[str, AdapterInAdapterLayer]:
    return {name: module for name, module in backbone.named_modules() if isinstance(module, AdapterInAdapterLayer)}


def _switch(backbone: nn.Module) -> Switch | None:
    return next((module.switch for module in backbone.modules() if isinstance(module, AdapterInAdapterLayer)), None)


def _check_known(backbone: nn.Module, modalities: set[str]) -> None:
    known = getattr(backbone, "peft_config", {})
    if strange := sorted(modalities - known.keys()):
        raise ValueError(f"{strange[0]} has no adapters on this backbone, which has {', '.join(known) or 'none'}")

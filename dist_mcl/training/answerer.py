"""A backbone that answers in words, and what of it trains: one modality after the other, or all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from dist_mcl import adapters
from dist_mcl.adapter_config import AdapterInAdapter, AdapterSites, FullFineTuning, LoRAAdapter, ModalityAdapter
from dist_mcl.adapters.adapter_in_adapter import (
    BaseDigests,
    ModalityPaths,
    add_modality,
    find_sites,
    load_modality,
    peft_config,
    save_modality,
)
from dist_mcl.adapters.folder import CONFIG_FILE
from dist_mcl.backbones.language import Answered, Attended, LanguageBackbone
from dist_mcl.config import AttentionScores
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch
from dist_mcl.training.trainable import TrainableModel

_TRAINED = "trained.safetensors"


class Answerer(TrainableModel):
    """Learns modalities in turn; what a stage trains is saved, and what it leaves alone never.

    With adapter-in-adapter the first modality trains the connector besides its own modules, where that is new;
    PathWeave (arXiv 2410.20178) is given a base that was trained so. Every other modality trains its own modules and
    its adapters alone, so earlier ones answer as before, bit for bit. Its own modules begin as copies of those of the
    modality learned just before, where the two are alike, and whatever the adapters' parents are.

    Otherwise modalities share what trains besides their own modules: one LoRA (and the connector in the first stage,
    where that is new), or the weights of parts of the backbone. Every stage trains that on: the controls that forget.

    Args:
        backbone: as it was made or read; nothing of it trains yet.
    """

    backbone: LanguageBackbone

    def __init__(self, backbone: LanguageBackbone) -> None:
        super().__init__(backbone)
        backbone.requires_grad_(False)
        backbone.paths = ModalityPaths(backbone)
        self._learned: list[str] = []
        self._new: list[str] = []
        self._connector_sites = _linear_sites(backbone, "connector")

    def forward(self, batch: Batch) -> Answered:
        """How each question's first answer is found."""
        return self.backbone.answered(batch, [asked.answers[0] for asked in batch.questions])

    def attended(self, batch: Batch, how: AttentionScores) -> Attended:
        """What each question's first answer attends to."""
        return self.backbone.attended(batch, [asked.answers[0] for asked in batch.questions], how)

    def begin(self, modalities: Sequence[str], adapter: ModalityAdapter, seed: int) -> None:
        """From now on these modalities train, and nothing else. Several of them have to share what trains.

        Args:
            seed: of fresh adapters; the same on every rank.

        Raises:
            UserError: the adapter's sites or roles are not in the backbone, or its parents are not learned.
            ValueError: a modality is learned already.
        """
        if twice := sorted(set(modalities) & set(self._learned)):
            raise ValueError(f"{twice[0]} is learned already")
        self.backbone.requires_grad_(False)
        if self._learned:
            for modality in modalities:
                self.backbone.begin_as(modality, self._learned[-1])
        is_base = not (self._learned or self.backbone.has_base)
        if isinstance(adapter, AdapterInAdapter) and not is_base:
            (modality,) = modalities
            own = self.backbone.own_modules(modality)
            add_modality(self.backbone, modality, self._config(modality, adapter, own), seed, torch.float32)
        else:
            if isinstance(adapter, LoRAAdapter):
                self._train_lora(adapter, seed)
            for part in (*map(self.backbone.get_submodule, self._own(modalities)), *self._parts(adapter, is_base)):
                _train(part)
        self._learned += modalities
        self._new = list(modalities)

    def shared(self) -> dict[str, nn.Parameter]:
        """What trains and is not the new modalities' own, by its name in the backbone."""
        own = tuple(f"{name}." for name in self._own(self._new))
        trained = ((name, value) for name, value in self.backbone.named_parameters() if value.requires_grad)
        return {name: value for name, value in trained if not name.startswith(own)}

    def save(self, folder: Path) -> None:
        """Write what the modalities in training have learned.

        Raises:
            ValueError: it is not whole on this rank.
        """
        if self._has_adapters(self._learned[-1]):
            save_modality(self.backbone, self._learned[-1], folder)
            return
        shared = adapters.adapter_parameters(self.backbone)
        if shared:
            adapters.save(self.backbone, folder)
        names = {name: value for name, value in self.backbone.named_parameters() if value.requires_grad}
        tensors = {name: value.detach().cpu().contiguous() for name, value in names.items() if name not in shared}
        if empty := [name for name, value in tensors.items() if not value.numel()]:
            raise ValueError(f"{empty[0]} is empty: gather sharded parameters before they are saved")
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / _TRAINED)

    def load(self, learned: Sequence[tuple[Sequence[str], Path]]) -> None:
        """Take up what `save` wrote for the modalities of each stage, the first stage first. Nothing trains afterwards.

        Of what several stages have trained, the newest values are read and no others.

        Raises:
            UserError: a folder is damaged, or of another backbone.
        """
        sharing = [folder for _, folder in learned if (folder / _TRAINED).exists()]
        with_lora = [folder for folder in sharing if (folder / CONFIG_FILE).exists()]
        if with_lora:
            adapters.load(self.backbone, with_lora[-1], torch.float32)
        filled: set[str] = set()
        for folder in reversed(sharing):
            filled |= self._fill(folder / _TRAINED, without=filled)
        base = BaseDigests(self.backbone)  # which loading adapters leaves as it is
        for modalities, folder in learned:
            if folder not in sharing:
                load_modality(self.backbone, folder, torch.float32, base)
            self._learned += modalities
        self.backbone.requires_grad_(False)

    def _own(self, modalities: Sequence[str]) -> list[str]:
        return [name for modality in modalities for name in self.backbone.own_modules(modality)]

    def _parts(self, adapter: ModalityAdapter, is_base: bool) -> Iterator[nn.Module]:
        """Parts of the backbone whose own weights train."""
        roles = self.backbone.roles
        if isinstance(adapter, FullFineTuning):
            if unknown := [role for role in adapter.roles if role not in roles]:
                has = ", ".join(roles)
                raise UserError(f"model.adapter.roles: {unknown[0]!r}: this backbone has {has}; choose of these")
            yield from (roles[role] for role in adapter.roles)
        elif adapter.kind == "none" or is_base:
            yield roles["connector"]

    def _train_lora(self, adapter: LoRAAdapter, seed: int) -> None:
        """Train the LoRA on, or a fresh one where there is none yet."""
        if not adapters.adapter_parameters(self.backbone):
            sites = adapter.sites or (self._connector_sites,)
            layers = [name for group in sites for name in find_sites(self.backbone, self.backbone.roles, group)]
            adapters.attach(self.backbone, adapter, layers, seed, torch.float32)
        for parameter in adapters.adapter_parameters(self.backbone).values():
            parameter.requires_grad_(True)

    def _config(self, modality: str, adapter: AdapterInAdapter, own: Sequence[str]) -> Any:
        adapted = tuple(name for name in self._learned if self._has_adapters(name))
        try:
            parents = adapter.parents_of(modality, adapted, base=set(self._learned).difference(adapted))
        except ValueError as error:
            raise UserError(str(error)) from error
        placed = adapter if adapter.sites else adapter.model_copy(update={"sites": (self._connector_sites,)})
        base = self.backbone.base_modules(modality)
        return peft_config(self.backbone, self.backbone.roles, placed, parents, own, base)

    def _has_adapters(self, modality: str) -> bool:
        return modality in getattr(self.backbone, "peft_config", {})

    @torch.no_grad()
    def _fill(self, path: Path, without: set[str]) -> set[str]:
        """Read a file's tensors into the parameters, but for some; returns the names of all others."""
        parameters = dict(self.backbone.named_parameters())
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys() if name not in without}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read ({error}); restore it or train it again") from error
        for name, value in tensors.items():
            if name not in parameters or parameters[name].shape != value.shape:
                raise UserError(f"{path}: {name} is not of this backbone; use the model that it was trained with")
            parameters[name].data = value.to(parameters[name].device)
        return set(tensors)


def _train(part: nn.Module) -> None:
    """What trains is fp32, whatever it was frozen in."""
    for parameter in part.parameters():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)


def _linear_sites(backbone: LanguageBackbone, role: str) -> AdapterSites:
    """All linear layers of a part that has no adapters yet."""
    part = backbone.roles[role]
    layers = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) and any(module is inside for inside in part.modules())
    ]
    return AdapterSites(role=role, suffixes=tuple(layers), count=len(layers))

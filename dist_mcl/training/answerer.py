"""A frozen backbone that answers in words, and what of it trains: one modality at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dist_mcl.adapter_config import AdapterInAdapter, AdapterSites
from dist_mcl.adapters.adapter_in_adapter import (
    ModalityPaths,
    add_modality,
    load_modality,
    peft_config,
    save_modality,
)
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.errors import UserError
from dist_mcl.exemplars.replay import Entry
from dist_mcl.tokens import Batch
from dist_mcl.training.learner import Pool
from dist_mcl.training.trainable import TrainableModel

_TRAINED = "trained.safetensors"


class Answerer(TrainableModel):
    """Learns modalities in turn; what it learns is saved by modality, and the backbone never.

    Where the backbone's connector is new, the first modality trains it besides its own modules; PathWeave (arXiv
    2410.20178) is given a base that was trained so. Every other modality trains its own modules and its adapters alone,
    so earlier ones answer as before, bit for bit. Without adapters it goes on training the connector: the control that
    forgets.

    Args:
        backbone: as it was made or read; nothing of it trains yet.
    """

    backbone: LanguageBackbone

    def __init__(self, backbone: LanguageBackbone) -> None:
        super().__init__(backbone)
        backbone.requires_grad_(False)
        backbone.paths = ModalityPaths(backbone)
        self._learned: list[str] = []
        self._connector_sites = _linear_sites(backbone, "connector")

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As `LanguageBackbone.forward`, of each question's first answer."""
        found: tuple[Tensor, Tensor] = self.backbone(batch, [asked.answers[0] for asked in batch.questions])
        return found

    def begin(self, modality: str, adapter: AdapterInAdapter | None, seed: int) -> None:
        """From now on this modality trains, and nothing else.

        Args:
            adapter: of all modalities that do not train the connector; none to train that again.
            seed: of fresh adapters; the same on every rank.

        Raises:
            UserError: the adapter's sites are not in the backbone, or its parents are not learned.
            ValueError: the modality is learned already.
        """
        if modality in self._learned:
            raise ValueError(f"{modality} is learned already")
        self.backbone.requires_grad_(False)
        own = self.backbone.own_modules(modality)
        if self._learned:
            self.backbone.inherit(modality, self._learned[-1])
        if adapter is None or not (self._learned or self.backbone.has_base):
            for part in (*map(self.backbone.get_submodule, own), self.backbone.roles["connector"]):
                part.requires_grad_(True)
        else:
            add_modality(self.backbone, modality, self._config(modality, adapter, own), seed, torch.float32)
        self._learned.append(modality)

    def save(self, folder: Path) -> None:
        """Write what the modality in training has learned.

        Raises:
            ValueError: it is not whole on this rank.
        """
        if self._has_adapters(self._learned[-1]):
            save_modality(self.backbone, self._learned[-1], folder)
            return
        names = {name: value for name, value in self.backbone.named_parameters() if value.requires_grad}
        tensors = {name: value.detach().cpu().contiguous() for name, value in names.items()}
        if empty := [name for name, value in tensors.items() if not value.numel()]:
            raise ValueError(f"{empty[0]} is empty: gather sharded parameters before they are saved")
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / _TRAINED)

    def load(self, modality: str, folder: Path) -> None:
        """Take up what `save` wrote for a modality, after all that was learned before it. Nothing trains afterwards.

        Raises:
            UserError: the folder is damaged, or of another backbone.
        """
        if (folder / _TRAINED).exists():
            self._fill(folder / _TRAINED)
        else:
            load_modality(self.backbone, folder, torch.float32)
        self.backbone.requires_grad_(False)
        self._learned.append(modality)

    def _config(self, modality: str, adapter: AdapterInAdapter, own: Sequence[str]) -> Any:
        adapted = tuple(name for name in self._learned if self._has_adapters(name))
        try:
            parents = adapter.parents_of(modality, adapted)
        except ValueError as error:
            raise UserError(f"model.adapter.{error}") from error
        placed = adapter if adapter.sites else adapter.model_copy(update={"sites": (self._connector_sites,)})
        return peft_config(self.backbone, self.backbone.roles, placed, parents, own)

    def _has_adapters(self, modality: str) -> bool:
        return modality in getattr(self.backbone, "peft_config", {})

    @torch.no_grad()
    def _fill(self, path: Path) -> None:
        parameters = dict(self.backbone.named_parameters())
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read ({error}); restore it or train it again") from error
        for name, value in tensors.items():
            if name not in parameters or parameters[name].shape != value.shape:
                raise UserError(f"{path}: {name} is not of this backbone; use the model that it was trained with")
            parameters[name].copy_(value)


def _linear_sites(backbone: LanguageBackbone, role: str) -> AdapterSites:
    """All linear layers of a part that has no adapters yet."""
    part = backbone.roles[role]
    layers = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) and any(module is inside for inside in part.modules())
    ]
    return AdapterSites(role=role, suffixes=tuple(layers), count=len(layers))


@dataclass(frozen=True)
class AnswerLoss:
    """Cross-entropy of the answers' tokens, the mean over all of a micro-batch. Prompts carry no loss."""

    pool: Pool
    device: torch.device

    def __call__(self, forward: Callable[[Batch], Any], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch; `forward` is an `Answerer`'s."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.device)
        sums, counts = forward(batch)
        total: Tensor = sums.sum() / counts.sum()
        return total

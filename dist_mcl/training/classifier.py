"""A frozen backbone with an adapter, and a head that grows with every stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dist_mcl import adapters
from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.backbones import Backbone
from dist_mcl.config import SSFAdapter
from dist_mcl.tokens import Batch
from dist_mcl.training.heads import HEADS, CosineHead, GrowingHead, LinearHead
from dist_mcl.training.trainable import TrainableModel

_HEAD_FILE = "head.safetensors"


class Classifier(TrainableModel):
    """Backbone, adapter and head. Only the adapter, the backbone's pooler and the head train.

    Use `begin` for the first stage and `resume` for what a stage saved.

    Args:
        backbone: already carries its adapter, and is frozen but for that.
        head: for the backbone's pooled features.
    """

    backbone: Backbone

    def __init__(self, backbone: Backbone, head: GrowingHead) -> None:
        super().__init__(backbone)
        backbone.pooler.requires_grad_(True)
        self.head = head

    @classmethod
    def begin(
        cls, backbone: Backbone, adapter: SSFAdapter | LoRAAdapter, seed: int, head: str = "linear"
    ) -> Classifier:
        """Attach a new adapter; the same seed gives the same values on every rank. The head has no rows yet."""
        adapters.attach(backbone, adapter, backbone.adapter_targets, seed, torch.float32)
        return cls(backbone, HEADS[head](backbone.hidden_size))

    @classmethod
    def resume(cls, backbone: Backbone, folder: Path) -> Classifier:
        """Read what `save` wrote.

        Raises:
            UserError: the folder does not fit the backbone.
        """
        adapters.load(backbone, folder, torch.float32)
        saved = load_file(folder / _HEAD_FILE)
        head = (CosineHead if "head.scale" in saved else LinearHead)(backbone.hidden_size)
        for name in dict(head.named_parameters()):
            setattr(head, name, nn.Parameter(saved.pop(f"head.{name}")))
        backbone.pooler.load_state_dict({name.removeprefix("pooler."): value for name, value in saved.items()})
        return cls(backbone, head)

    def save(self, folder: Path) -> None:
        """Write adapter, pooler and head; the frozen backbone is not written.

        Raises:
            ValueError: they are not whole on this rank.
        """
        adapters.save(self.backbone, folder)
        pooler = {f"pooler.{name}": value for name, value in self.backbone.pooler.state_dict().items()}
        head = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        tensors = {name: value.detach().cpu().contiguous() for name, value in {**pooler, **head}.items()}
        if empty := [name for name, value in tensors.items() if not value.numel()]:
            raise ValueError(f"{empty[0]} is empty: gather sharded parameters before they are saved")
        save_file(tensors, folder / _HEAD_FILE)

    def forward(self, batch: Batch) -> Tensor:
        """(B, classes seen) logits; column c is the c-th class in order of arrival."""
        return self.head(self.backbone(batch))


def class_rows(order: Sequence[int]) -> Tensor:
    """Lookup from the dataset's class id to the head's row: `rows[class_id]`, -1 for a class not yet seen."""
    rows = torch.full((max(order) + 1,), -1)
    rows[torch.tensor(order)] = torch.arange(len(order))
    return rows

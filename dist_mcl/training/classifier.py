"""A frozen backbone with an adapter, and a head that grows with every stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dist_mcl import adapters
from dist_mcl.backbones import Backbone
from dist_mcl.config import LoRAAdapter, SSFAdapter
from dist_mcl.tokens import Batch

_HEAD_FILE = "head.safetensors"


class GrowingHead(nn.Module):
    """A linear classifier whose rows are appended stage by stage; the old rows keep their weights.

    Args:
        features: width of the backbone's pooled features.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, features))
        self.bias = nn.Parameter(torch.empty(0))

    def grow(self, rows: int, seed: int) -> None:
        """Append `rows` rows drawn from N(0, 0.02)."""
        generator = torch.Generator().manual_seed(seed)
        new = torch.randn(rows, self.weight.shape[1], generator=generator) * 0.02
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), new]))
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(rows)]))

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, rows) logits."""
        return nn.functional.linear(features, self.weight, self.bias)


class Classifier(nn.Module):
    """Backbone, adapter and head. Only the adapter, the backbone's pooler and the head train.

    Use `begin` for the first stage and `resume` for what a stage saved.

    Args:
        backbone: already carries its adapter, and is frozen but for that.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        backbone.pooler.requires_grad_(True)
        self.backbone = backbone
        self.head = GrowingHead(backbone.hidden_size)

    @classmethod
    def begin(cls, backbone: Backbone, adapter: SSFAdapter | LoRAAdapter, seed: int) -> Classifier:
        """Attach a new adapter; the same seed gives the same values on every rank. The head has no rows yet."""
        adapters.attach(backbone, adapter, backbone.adapter_targets, seed, torch.float32)
        return cls(backbone)

    @classmethod
    def resume(cls, backbone: Backbone, folder: Path) -> Classifier:
        """Read what `save` wrote.

        Raises:
            UserError: the folder does not fit the backbone.
        """
        adapters.load(backbone, folder, torch.float32)
        model = cls(backbone)
        saved = load_file(folder / _HEAD_FILE)
        model.head.weight = nn.Parameter(saved.pop("head.weight"))
        model.head.bias = nn.Parameter(saved.pop("head.bias"))
        backbone.pooler.load_state_dict({name.removeprefix("pooler."): value for name, value in saved.items()})
        return model

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

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that train: adapter, pooler, head."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def class_rows(order: Sequence[int]) -> Tensor:
    """Lookup from the dataset's class id to the head's row: `rows[class_id]`, -1 for a class not yet seen."""
    rows = torch.full((max(order) + 1,), -1)
    rows[torch.tensor(order)] = torch.arange(len(order))
    return rows

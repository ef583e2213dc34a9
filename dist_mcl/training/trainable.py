"""What an engine trains: a frozen backbone and what is put on it."""

from __future__ import annotations

from torch import nn

from dist_mcl.backbones.frozen import FrozenModel


class TrainableModel(nn.Module):
    """Attributes:
    backbone: frozen, but for what trains on it.
    """

    def __init__(self, backbone: FrozenModel) -> None:
        super().__init__()
        self.backbone = backbone

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that train."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

"""Picture patches to features, each patch from its own pixels alone, so that kept patches are enough to replay."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dist_mcl.backbones.efficientnet_lite import STAGE_CHANNELS, EfficientNetLite0

# EfficientNet halves the sides at the stem and in these stages (counted from 0).
_HALVINGS = (1, 2, 3)


class PatchEncoder(nn.Module):
    """The first stages of EfficientNet-Lite0, run on every patch by itself.

    Args:
        patch: side of a patch in pixels.
        stages: how many of EfficientNet's stages to run.
        taps: stages (counted from 0) whose flattened maps are the features.
        enlarge: factor by which a patch is enlarged first, so that the last map is more than one pixel.
    """

    def __init__(self, patch: int = 16, stages: int = 5, taps: tuple[int, ...] = (2, 4), enlarge: int = 2) -> None:
        super().__init__()
        self.taps = taps
        self.enlarge = enlarge
        self.network = EfficientNetLite0(stages)
        self.features = sum(_map_size(patch * enlarge, stage) for stage in taps)

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, features) of uint8 RGB patches (n, patch, patch, 3)."""
        pixels = (patches.permute(0, 3, 1, 2).float() - 127) / 128
        if self.enlarge > 1:
            pixels = F.interpolate(pixels, scale_factor=self.enlarge, mode="bilinear")
        maps = self.network.stage_maps(pixels)
        return torch.cat([maps[stage].flatten(1) for stage in self.taps], dim=1)


def _map_size(side: int, stage: int) -> int:
    side = -(-side // 2)
    for _ in range(sum(halving <= stage for halving in _HALVINGS)):
        side = -(-side // 2)
    return STAGE_CHANNELS[stage] * side * side

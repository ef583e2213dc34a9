"""The folded network against plain convolution and batch norm."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dist_mcl.backbones.efficientnet_lite import FEATURES, EfficientNetLite0
from dist_mcl.backbones.patch_encoder import PatchEncoder

State = dict[str, Tensor]


def _random_state(network: EfficientNetLite0) -> State:
    """A state dict with the package's names: convolutions without bias, each with a batch norm."""
    torch.manual_seed(0)
    state: State = {}

    def convolution(layer: torch.nn.Conv2d, name: str, norm: str) -> None:
        state[f"{name}.weight"] = torch.randn_like(layer.weight) * layer.weight[0].numel() ** -0.5
        ranges = {"weight": (0.5, 1.5), "bias": (-1, 1), "running_mean": (-1, 1), "running_var": (0.5, 2)}
        for part, (low, high) in ranges.items():
            state[f"{norm}.{part}"] = torch.empty(layer.out_channels).uniform_(low, high)

    convolution(network.stem, "_conv_stem", "_bn0")
    for index, block in enumerate(block for stage in network.stages for block in stage):
        if block.expand is not None:
            convolution(block.expand, f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0")
        convolution(block.depthwise, f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1")
        convolution(block.project, f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2")
    if network.head is not None:
        convolution(network.head, "_conv_head", "_bn1")
    return state


def _convolve(x: Tensor, state: State, name: str, norm: str, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
    total = kernel - stride if x.shape[-1] % stride == 0 else kernel - x.shape[-1] % stride
    total = max(total, 0)
    x = F.pad(x, (total // 2, total - total // 2) * 2)
    x = F.conv2d(x, weight, stride=stride, groups=groups)
    mean, var, scale, shift = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, scale, shift, eps=1e-3)


def _reference_stage_two(x: Tensor, state: State) -> Tensor:
    """Stem, stage 1 (no expansion) and stage 2 (expansion, stride 2, then a skip), written out."""
    x = F.relu6(_convolve(x, state, "_conv_stem", "_bn0", 2))
    x = F.relu6(_convolve(x, state, "_blocks.0._depthwise_conv", "_blocks.0._bn1"))
    x = _convolve(x, state, "_blocks.0._project_conv", "_blocks.0._bn2")
    for index, stride in ((1, 2), (2, 1)):
        wide = F.relu6(_convolve(x, state, f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0"))
        wide = F.relu6(_convolve(wide, state, f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1", stride))
        out = _convolve(wide, state, f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2")
        x = x + out if stride == 1 else out
    return x


@pytest.mark.parametrize("side", [32, 37])
def test_folding_the_batch_norms_changes_nothing(side: int) -> None:
    network = EfficientNetLite0(stages=2)
    state = _random_state(network)
    network.load_package_weights(state)
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(network.stage_maps(x)[1], _reference_stage_two(x, state), atol=1e-4, rtol=1e-4)


def test_the_whole_network_has_the_published_size() -> None:
    network = EfficientNetLite0()
    network.load_package_weights(_random_state(network))
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 64)).shape == (1, FEATURES)
    # 4,652,008 published, less the classifier (1,281,000) and one of the two vectors of each of the 49 batch norms.
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008 - 1_281_000 - 21_008


def test_a_part_of_the_network_has_no_global_features() -> None:
    with pytest.raises(ValueError, match="seven stages"):
        EfficientNetLite0(stages=3)(torch.randn(1, 3, 32, 32))


def test_a_patch_sees_its_own_pixels_alone() -> None:
    encoder = PatchEncoder(stages=3, taps=(1, 2))
    patches = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    other = patches.clone()
    other[1:] = 0
    with torch.no_grad():
        before, after = encoder(patches), encoder(other)
    assert before.shape == (4, encoder.features)
    torch.testing.assert_close(before[0], after[0])
    assert not torch.allclose(before[1], after[1])

"""A backbone of any size with random weights: as fast as a trained one, and there is nothing to download."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import BertConfig

from dist_mcl.backbones import SmallBackbone
from dist_mcl.backbones.patch_encoder import PatchEncoder
from dist_mcl.config import Experiment
from dist_mcl.training.engine import deepspeed_config
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.zero3 import shard_while_loading

_HEAD_WIDTH = 64


@dataclass(frozen=True)
class Size:
    """How large the encoder is; 36 layers of width 4096 have 7.4e9 parameters."""

    layers: int
    width: int


def random_backbone(size: Size, experiment: Experiment, group: ProcessGroup) -> SmallBackbone:
    """A frozen backbone of the small one's kind, equal on every rank; with ZeRO stage 3 this rank's share of it."""
    config = BertConfig(
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=max(1, size.width // _HEAD_WIDTH),
        intermediate_size=4 * size.width,
    )

    def build() -> SmallBackbone:
        backbone = SmallBackbone(config, PatchEncoder()).eval()
        return backbone.use_bf16() if experiment.training.precision == "bf16" else backbone

    with init_empty_weights(include_buffers=False):  # a model of billions would take minutes to draw, and be fp32
        empty = build()
    shapes = {name: value.shape for name, value in empty.state_dict().items()}
    buffers = dict(empty.named_buffers())

    def read(name: str) -> Tensor:
        return buffers[name] if name in buffers else _random(name, shapes[name], group.device)

    if experiment.training.zero_stage == 3:
        return shard_while_loading(build, read, deepspeed_config(experiment.training, group.world_size))
    weights = {name: read(name).to(value.dtype) for name, value in empty.named_parameters()}
    empty.load_state_dict(weights, strict=False, assign=True)  # not strict: buffers have their values
    return empty


def _random(name: str, shape: torch.Size, device: torch.device) -> Tensor:
    if len(shape) < 2:  # norms and biases
        return torch.ones(shape, device=device) if name.endswith("weight") else torch.zeros(shape, device=device)
    generator = torch.Generator(device).manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator, device=device) * 0.02

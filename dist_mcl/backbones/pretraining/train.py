"""The pretraining run: the backbone learns to say what its two teachers say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig

from dist_mcl.backbones.patch_encoder import PatchEncoder
from dist_mcl.backbones.pretraining.objective import Heads
from dist_mcl.backbones.pretraining.stream import Lesson
from dist_mcl.backbones.small import MINILM_PART, SmallBackbone, minilm_state
from dist_mcl.tokens import Batch

_SHARES = {"picture": 1.5, "patches": 0.5, "sentence": 1.0, "meaning": 0.3}


@dataclass(frozen=True)
class Schedule:
    """Learning rates of AdamW: linear warm-up, then half a cosine.

    Attributes:
        steps: optimiser steps in all.
        encoder: peak learning rate of MiniLM's layers.
        new: peak learning rate of what starts from nothing.
    """

    steps: int
    encoder: float = 4e-4
    new: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.05

    def factor(self, step: int) -> float:
        """Share of the peak learning rate at a step, from 0."""
        falling = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return min((step + 1) / self.warmup, 0.5 * (1 + math.cos(math.pi * min(1.0, falling))) + 0.01)


class Student(nn.Module):
    """The backbone with the heads that are thrown away."""

    def __init__(self, backbone: SmallBackbone, heads: Heads) -> None:
        super().__init__()
        self.backbone, self.heads = backbone, heads

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """The parts of the loss, scalars; the encoder runs with bf16 products."""
        with torch.autocast("cpu", torch.bfloat16):
            hidden, sequences = self.backbone.embed(lesson.batch)
            states = self.backbone.encode(hidden, sequences.layout).float()
            pooled = torch.tanh(self.backbone.pooler(states[sequences.places["class"]]))
        patches = _mean_by_sample(states[sequences.places["image"]], lesson.batch)
        found: dict[str, Tensor] = self.heads(pooled.float(), patches, lesson.targets)
        return found


def start_backbone(minilm: Path, efficientnet: Path, sample_patches: Tensor) -> SmallBackbone:
    """The backbone before pretraining: both teachers' layers, the rest drawn anew with torch's generator.

    Args:
        minilm: folder of all-MiniLM-L6-v2.
        efficientnet: EfficientNet-Lite0's weights, safetensors.
        sample_patches: uint8 (n, 16, 16, 3), to which the image projection is fitted: it keeps the principal
            components of their features.
    """
    backbone = SmallBackbone(BertConfig.from_pretrained(minilm), PatchEncoder())
    backbone.patch_encoder.network.load_package_weights(load_file(efficientnet))
    backbone.patch_encoder.requires_grad_(False)
    backbone.load_state_dict({**backbone.state_dict(), **minilm_state(minilm)})
    backbone.bert.embeddings.requires_grad_(False)
    backbone.image_norm.load_state_dict(backbone.bert.embeddings.LayerNorm.state_dict())
    nn.init.orthogonal_(backbone.pooler.weight)
    nn.init.zeros_(backbone.pooler.bias)
    for table in (backbone.image_rows, backbone.image_columns):
        nn.init.normal_(table.weight, std=0.1)
    _fit_projection(backbone, sample_patches)
    return backbone


def pretrain(
    student: Student, lessons: Iterable[Lesson], schedule: Schedule, world_size: int
) -> Iterable[dict[str, float]]:
    """Train on the lessons; yields the parts of the loss after each step.

    With several processes, each has its own lessons and the gradients are averaged over them (gloo).
    """
    optimizer = _optimizer(student, schedule)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.factor)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    student.train()
    for lesson in lessons:
        losses = student.losses(lesson)
        optimizer.zero_grad()
        sum(_SHARES[name] * value for name, value in losses.items()).backward()  # type: ignore[union-attr]
        if world_size > 1:
            _average_gradients(parameters, world_size)
        nn.utils.clip_grad_norm_(student.backbone.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        yield {name: float(value.detach()) for name, value in losses.items()}


def save_backbone(backbone: SmallBackbone, path: Path) -> None:
    """Everything but MiniLM's embeddings, in float16; the file appears complete or not at all."""
    tensors = {
        name: value.detach().half().clone(memory_format=torch.contiguous_format)
        for name, value in backbone.state_dict().items()
        if not name.startswith(MINILM_PART)
    }
    scratch = path.with_suffix(".partial")
    save_file(tensors, scratch, metadata={"format": "pt"})
    scratch.replace(path)


@torch.no_grad()
def _fit_projection(backbone: SmallBackbone, sample_patches: Tensor) -> None:
    features = backbone.patch_encoder(sample_patches)
    mean, deviation = features.mean(0), features.std(0) + 0.05
    standard = (features - mean) / deviation
    values, vectors = torch.linalg.eigh(standard.T @ standard / len(standard))
    size = backbone.hidden_size
    components = vectors[:, -size:] * 0.3 / values[-size:].mean().sqrt()
    # Turned at random, so that no dimension of a token carries much more than another.
    rotation, _ = torch.linalg.qr(torch.randn(size, size))
    backbone.image_projection.weight.copy_(rotation @ components.T / deviation)
    backbone.image_projection.bias.copy_(-(backbone.image_projection.weight @ mean))


def _optimizer(student: Student, schedule: Schedule) -> torch.optim.AdamW:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            rate = schedule.encoder if name.startswith("backbone.bert.") else schedule.new
            decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    described = [{"params": part, "lr": rate, "weight_decay": decay} for (rate, decay), part in groups.items()]
    return torch.optim.AdamW(described, betas=(0.9, 0.98), fused=True)


def _average_gradients(parameters: list[nn.Parameter], world_size: int) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _mean_by_sample(states: Tensor, batch: Batch) -> Tensor:
    sample = batch.tokens["image"].sample
    counts = torch.bincount(sample, minlength=len(batch)).clamp(min=1)
    return states.new_zeros(len(batch), states.shape[1]).index_add(0, sample, states) / counts[:, None]

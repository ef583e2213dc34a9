"""bf16 in the frozen backbone, fp32 in what trains; and activations that are computed twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import SSFAdapter
from dist_mcl.tokens import Batch
from dist_mcl.training.classifier import Classifier

from .small_runs import finish
from .small_stage import made_up

Result = tuple[list[float], dict[str, str]]


def classifier(adapter: SSFAdapter | LoRAAdapter, backbone: SmallBackbone) -> Classifier:
    model = Classifier.begin(backbone, adapter, seed=0)
    model.head.grow(3, seed=1)
    return model


def gradients(model: Classifier) -> list[Tensor]:
    model.train()
    model(Batch.collate(made_up(4, words=3, seed=0))).square().sum().backward()
    return [parameter.grad for parameter in model.trainable() if parameter.grad is not None]


@pytest.mark.parametrize("adapter", [SSFAdapter(), LoRAAdapter(rank=2)])
def test_only_frozen_matrices_are_bf16(adapter: SSFAdapter | LoRAAdapter) -> None:
    model = classifier(adapter, SmallBackbone.tiny().use_bf16())
    assert {parameter.dtype for parameter in model.trainable()} == {torch.float32}
    encoder = sum(value.numel() for value in model.backbone.bert.parameters() if not value.requires_grad)
    low = sum(value.numel() for value in model.parameters() if value.dtype == torch.bfloat16)
    assert low > 0.98 * encoder
    ours, whole = gradients(model), gradients(classifier(adapter, SmallBackbone.tiny()))
    assert all(gradient.dtype == torch.float32 for gradient in ours)
    flat = [torch.cat([gradient.flatten() for gradient in some]) for some in (ours, whole)]
    assert 0.98 < nn.functional.cosine_similarity(*flat, dim=0) < 1


def test_what_a_stage_saved_is_not_rounded_by_the_next(tmp_path: Path) -> None:
    model = classifier(SSFAdapter(), SmallBackbone.tiny().use_bf16())
    with torch.no_grad():
        for parameter in model.trainable():
            parameter.add_(1e-4)  # no bf16 number any more
    model.save(tmp_path)
    again = Classifier.resume(SmallBackbone.tiny().use_bf16(), tmp_path)
    assert all(torch.equal(*pair) for pair in zip(model.trainable(), again.trainable(), strict=True))


@pytest.mark.slow
def test_bf16_is_the_same_for_any_number_of_processes(alone: Result, tmp_path: Path) -> None:
    losses, digests = finish(tmp_path / "one", 1, precision="bf16")
    assert finish(tmp_path / "two", 2, precision="bf16") == (losses, digests)
    # Later steps part: at this learning rate Adam turns small gradients into large steps, whatever their size.
    assert losses[:2] != alone[0][:2]
    assert losses[:2] == pytest.approx(alone[0][:2], rel=1e-2)


def test_checkpointed_activations_are_computed_twice_and_give_the_same_gradients() -> None:
    calls: dict[bool, int] = {}
    found = []
    for is_checkpointed in (False, True):
        model = classifier(SSFAdapter(), SmallBackbone.tiny())
        if is_checkpointed:
            model.backbone.checkpoint_activations()
        layer = model.backbone.bert.encoder.layer[0].intermediate.dense
        seen: list[None] = []
        layer.register_forward_hook(lambda *_, seen=seen: seen.append(None))
        found.append(gradients(model))
        calls[is_checkpointed] = len(seen)
    assert calls == {False: 1, True: 2}
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.slow
def test_checkpointed_activations_train_the_same_bytes(alone: Result, tmp_path: Path) -> None:
    assert finish(tmp_path, 2, activation_checkpointing=True) == alone

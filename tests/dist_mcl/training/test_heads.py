"""Heads grow, and what they had stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import SSFAdapter
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.heads import HEADS, CosineHead, LinearHead

each_head = pytest.mark.parametrize("kind", HEADS)


@each_head
def test_old_rows_keep_their_weights(kind: str) -> None:
    head = HEADS[kind](4)
    head.grow(3, seed=1)
    before, answers = head.weight.detach().clone(), head(torch.ones(2, 4)).detach()
    head.grow(2, seed=2)
    assert head.weight.shape == (5, 4) and head.old_rows == 3
    assert torch.equal(head.weight[:3], before)
    torch.testing.assert_close(head(torch.ones(2, 4))[:, :3].detach(), answers)


@each_head
def test_equal_seeds_grow_equal_rows(kind: str) -> None:
    heads = [HEADS[kind](4), HEADS[kind](4)]
    for head in heads:
        head.grow(3, seed=1)
    assert torch.equal(heads[0].weight, heads[1].weight)


@each_head
def test_what_is_saved_comes_back_as_the_same_head(kind: str, tmp_path: Path) -> None:
    model = Classifier.begin(SmallBackbone.tiny(0), SSFAdapter(), 0, kind)
    model.head.grow(3, seed=1)
    model.save(tmp_path)
    again = Classifier.resume(SmallBackbone.tiny(0), tmp_path)
    assert type(again.head) is HEADS[kind]
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in model.state_dict().items())
    again.head.grow(2, seed=2)
    assert again.head.old_rows == 3


def test_the_length_of_a_row_or_of_features_says_nothing_to_a_cosine_head() -> None:
    head = CosineHead(4)
    head.grow(2, seed=1)
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    before = head(features)
    assert before.abs().max() <= head.scale
    with torch.no_grad():
        head.weight[0] *= 7
    torch.testing.assert_close(head(3 * features), before)


def test_new_rows_are_aligned_to_the_old_ones() -> None:
    head = LinearHead(2)
    head.grow(2, seed=1)
    head.grow(2, seed=2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0], [2.0, 0.0]]))  # lengths 5, 1 and 10, 2
        head.bias.copy_(torch.tensor([1.0, 1.0, 1.0, 4.0]))
    before = head(torch.ones(1, 2)).detach()
    head.align_new_rows()
    assert head.weight.norm(dim=1).tolist() == [5, 1, 5, 1]
    torch.testing.assert_close(head(torch.ones(1, 2)), before * torch.tensor([1, 1, 0.5, 0.5]))

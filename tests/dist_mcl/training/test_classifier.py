"""The head grows, the rest stays."""

from __future__ import annotations

import torch

from dist_mcl.training.classifier import GrowingHead, class_rows


def test_old_rows_keep_their_weights() -> None:
    head = GrowingHead(4)
    head.grow(3, seed=1)
    before = head.weight.detach().clone()
    head.grow(2, seed=2)
    assert head.weight.shape == (5, 4)
    assert torch.equal(head.weight[:3], before)
    assert torch.equal(head.bias, torch.zeros(5))
    assert head(torch.ones(2, 4)).shape == (2, 5)


def test_equal_seeds_grow_equal_rows() -> None:
    heads = [GrowingHead(4), GrowingHead(4)]
    for head in heads:
        head.grow(3, seed=1)
    assert torch.equal(heads[0].weight, heads[1].weight)


def test_rows_follow_the_order_of_arrival() -> None:
    rows = class_rows([7, 0, 3])
    assert rows[torch.tensor([7, 0, 3])].tolist() == [0, 1, 2]
    assert rows[5] == -1

"""Rows of the head by the order of arrival."""

from __future__ import annotations

import torch

from dist_mcl.training.classifier import class_rows


def test_rows_follow_the_order_of_arrival() -> None:
    rows = class_rows([7, 0, 3])
    assert rows[torch.tensor([7, 0, 3])].tolist() == [0, 1, 2]
    assert rows[5] == -1

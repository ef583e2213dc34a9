"""The nearest mean of exemplars says the class."""

from __future__ import annotations

import torch

from dist_mcl.training.nearest_mean import means_of


def test_the_nearest_mean_answers_and_lengths_do_not_count() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, -3.0]])
    means = means_of(features, torch.tensor([0, 0, 0, 2]), classes=3)
    torch.testing.assert_close(means.vectors[0], torch.tensor([0.5, 0.5]).sqrt())
    assert means(torch.tensor([[9.0, 8.0], [0.1, -0.2]])).argmax(dim=1).tolist() == [0, 2]


def test_a_class_without_exemplars_is_never_said() -> None:
    means = means_of(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), classes=2)
    assert means(torch.tensor([[-1.0, 0.0], [1.0, 0.0]])).argmax(dim=1).tolist() == [1, 1]

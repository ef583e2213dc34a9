"""What teachers ask for, computed by hand, and which of the samples they speak about."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dist_mcl.exemplars import Fresh, Replayed
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.distillation import PreviousModel, StoredLogits

WORDS = {"text": Tokens.full(np.arange(3, dtype=np.int32), (3,))}


def remembered(*logits: float) -> Sample:
    return Sample(WORDS, target=0, id=1, stage=1, logits=np.array(logits, np.float16))


def test_the_divergence_at_a_temperature_by_hand() -> None:
    entries = [Fresh(0), Replayed(1, 2)]
    teacher = PreviousModel({entries[1]: 0, entries[0]: 1}, torch.tensor([[0.0, 0.0], [2.0, 0.0]]), 2.0)
    student = torch.tensor([[0.0, 0.0, 99.0], [0.0, 0.0, -99.0]])  # what it says of new classes does not count
    share = 1 / (1 + np.exp(-1.0))  # of the first class at temperature 2, for Fresh(0)
    divergence = share * np.log(2 * share) + (1 - share) * np.log(2 * (1 - share))
    assert float(teacher(entries, student)) == pytest.approx(4 * divergence / 2, rel=1e-5)


def test_who_answers_as_the_teacher_has_nothing_to_learn() -> None:
    logits = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    teacher = PreviousModel({Fresh(0): 0, Fresh(1): 1}, logits, 2.0)
    student = logits.clone().requires_grad_()
    loss = teacher([Fresh(0), Fresh(1)], student)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6) and student.grad is not None
    assert float(student.grad.abs().max()) < 1e-6


def test_the_squared_difference_is_of_known_classes_and_whole_exemplars() -> None:
    teacher = StoredLogits.of([remembered(1, 2), remembered(0, 0, 3)], classes=4)
    entries = [Fresh(0), Replayed(0, 0), Replayed(1, 1), Replayed(1, 0)]  # the last has another one's text
    student = torch.zeros(4, 4).requires_grad_()
    loss = teacher(entries, student)
    assert float(loss.detach()) == pytest.approx(((1 + 4) / 2 + 9 / 3) / 4)
    loss.backward()
    assert student.grad is not None
    assert (student.grad != 0).tolist() == [
        [False] * 4,
        [True, True, False, False],
        [False, False, True, False],
        [False] * 4,
    ]


def test_a_batch_without_exemplars_costs_nothing() -> None:
    teacher = StoredLogits.of([remembered(1, 2)], classes=2)
    assert float(teacher([Fresh(0)], torch.ones(1, 2))) == 0


def test_an_exemplar_without_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="exemplar 1 of stage 1 carries no logits"):
        StoredLogits.of([Sample(WORDS, 0, 1, 1)], classes=2)

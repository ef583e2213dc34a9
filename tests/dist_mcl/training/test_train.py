"""What a stage learns from, and how classes that come more often are evened out."""

from __future__ import annotations

import numpy as np
import torch

from dist_mcl.config import Training
from dist_mcl.exemplars import Fresh, Replayed
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.classifier import class_rows
from dist_mcl.training.learner import Pool
from dist_mcl.training.train import _log_prior


def sample(number: int, target: int, words: int) -> Sample:
    return Sample({"text": Tokens.full(np.arange(words, dtype=np.int32), (words,))}, target, number, stage=1)


FRESH = [sample(0, 4, 3), sample(1, 4, 3)]
MASKED = [sample(0, 4, 1), sample(1, 4, 1)]
MEMORY = [sample(2, 9, 2), sample(3, 9, 5)]
BATCHES = [[Fresh(0), Fresh(1, masked=True)], [Replayed(0, 1), Fresh(1)]]


def test_entries_find_their_samples() -> None:
    pool = Pool(FRESH, MASKED, MEMORY)
    assert pool[Fresh(1)] is FRESH[1]
    assert pool[Fresh(1, masked=True)] is MASKED[1]
    swapped = pool[Replayed(0, 1)]
    assert (swapped.id, len(swapped.tokens["text"])) == (2, 5)


def test_the_prior_is_the_share_of_what_is_learned() -> None:
    rows = class_rows([9, 4])
    prior = _log_prior(BATCHES, Pool(FRESH, MASKED, MEMORY), rows, Training())
    torch.testing.assert_close(prior.exp(), torch.tensor([0.25, 0.75]))


def test_nothing_is_evened_out_without_a_memory_or_when_switched_off() -> None:
    rows = class_rows([9, 4])
    alone = [[Fresh(0), Fresh(1)]]
    assert _log_prior(alone, Pool(FRESH, [], []), rows, Training()).count_nonzero() == 0
    off = Training(balanced_softmax=False)
    assert _log_prior(BATCHES, Pool(FRESH, MASKED, MEMORY), rows, off).count_nonzero() == 0

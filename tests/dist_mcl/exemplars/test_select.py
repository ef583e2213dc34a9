"""One table for all selections: what each of them promises."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dist_mcl.config import Exemplars
from dist_mcl.exemplars import Candidates, rank_samples
from dist_mcl.exemplars.select import ORDERS, entropy_order, random_order

SELECTIONS = [*ORDERS, "reservoir"]
each_selection = pytest.mark.parametrize("selection", SELECTIONS)


def candidates(seed: int, n: int = 30, classes: int = 3) -> tuple[Candidates, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(n, 6)) + 1).astype(np.float32)
    logits = rng.normal(size=(n, 4)).astype(np.float32)
    return Candidates(rng.permutation(1000)[:n], features, logits), rng.integers(0, classes, n)


def kept(selection: str, known: Candidates, targets: np.ndarray, count: int, seed: int = 0) -> set[int]:
    """Ids that a memory for so many would hold, ordered as the store does."""
    ranks = rank_samples(selection, known, targets, seed)
    return set(known.ids[np.lexsort((known.ids, targets, ranks))[:count]].tolist())


def test_all_that_a_configuration_may_ask_for_is_here() -> None:
    assert set(get_args(Exemplars.model_fields["selection"].annotation)) == set(SELECTIONS)


@each_selection
def test_the_ranks_of_a_class_are_a_permutation(selection: str) -> None:
    known, targets = candidates(0)
    ranks = rank_samples(selection, known, targets, seed=0)
    assert ranks.dtype == np.int64 and ranks.min() >= 0
    for target in range(3):
        own = ranks[targets == target]
        assert len(set(own.tolist())) == len(own)
        if selection != "reservoir":
            assert sorted(own.tolist()) == list(range(len(own)))


@each_selection
@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_neither_the_order_nor_who_asks_matters(selection: str, seed: int) -> None:
    """So it is the same for any number of ranks: each of them ranks all samples, in whatever order they came."""
    known, targets = candidates(seed % 20)
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    ranks = rank_samples(selection, known, targets, seed=5)
    assert np.array_equal(rank_samples(selection, known.take(shuffled), targets[shuffled], seed=5), ranks[shuffled])


@each_selection
def test_a_smaller_memory_holds_a_part_of_a_larger_one(selection: str) -> None:
    known, targets = candidates(1)
    memories = [kept(selection, known, targets, count) for count in range(len(targets) + 1)]
    assert all(small < large for small, large in pairwise(memories))


@each_selection
def test_what_is_alike_but_for_noise_keeps_its_order(selection: str) -> None:
    ids = np.array([7, 3, 9, 1])
    noise = np.array([[1e-7], [0], [-1e-7], [0]])
    same = Candidates(ids, np.ones((4, 3)), np.ones((4, 2)))
    noisy = Candidates(ids, np.ones((4, 3)) + noise * [1, 0, 0], np.ones((4, 2)) + noise * [1, 0])
    targets = np.zeros(4, np.int64)
    order = np.argsort(rank_samples(selection, same, targets, seed=0))
    assert np.array_equal(np.argsort(rank_samples(selection, noisy, targets, seed=0)), order)
    if selection not in ("random", "reservoir"):
        assert ids[order].tolist() == [1, 3, 7, 9]


@each_selection
def test_small_classes_and_rows_of_zeros(selection: str) -> None:
    nothing = Candidates(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros((0, 2)))
    assert rank_samples(selection, nothing, np.zeros(0, np.int64), seed=0).tolist() == []
    zeros = Candidates(np.array([5, 6]), np.zeros((2, 4)), np.zeros((2, 2)))
    assert len(set(rank_samples(selection, zeros, np.array([8, 8]), seed=0).tolist())) == 2


@pytest.mark.parametrize("selection", ["random", "reservoir"])
def test_only_what_is_random_follows_the_seed(selection: str) -> None:
    known, targets = candidates(2)
    assert kept(selection, known, targets, 10, seed=1) != kept(selection, known, targets, 10, seed=2)
    for other in set(SELECTIONS) - {"random", "reservoir"}:
        assert kept(other, known, targets, 10, seed=1) == kept(other, known, targets, 10, seed=2)


@pytest.mark.parametrize("selection", ["herding", "entropy", "k_center", "coverage"])
def test_refuses_what_has_no_order(selection: str) -> None:
    ids, targets = np.arange(2), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=f"{selection} needs ids that are all different"):
        ORDERS[selection](Candidates(np.array([1, 1]), np.ones((2, 2)), np.ones((2, 2))), 0)
    bad = np.array([[np.nan, 1.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=f"{selection} needs finite values"):
        rank_samples(selection, Candidates(ids, bad, bad), targets, seed=0)
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        ORDERS[selection](Candidates(ids, np.ones((3, 2)), np.ones((3, 2))), 0)


def test_the_least_certain_come_first() -> None:
    logits = np.array([[9.0, 0, 0], [1, 1, 1], [2, 1, 0], [0, 500, -500]])
    assert entropy_order(logits, np.arange(4)).tolist() == [1, 2, 0, 3]


def test_random_orders_are_even() -> None:
    firsts = [int(random_order(np.arange(4), seed)[0]) for seed in range(2000)]
    assert all(abs(firsts.count(one) - 500) < 97 for one in range(4))  # five standard deviations


def test_a_reservoir_holds_an_even_draw_from_all_stages() -> None:
    """100 samples of one class, then 300 of another: one in four is of the first, whichever stage brought it."""
    shares = []
    for seed in range(40):
        stages = [np.arange(100), np.arange(100, 400)]
        ranks = [
            rank_samples("reservoir", Candidates(ids, np.ones((len(ids), 1)), np.ones((len(ids), 1))), ids * 0, seed)
            for ids in stages
        ]
        held = np.argsort(np.concatenate(ranks))[:80]
        shares.append(float((held < 100).mean()))
    assert abs(float(np.mean(shares)) - 0.25) < 0.035  # five standard deviations

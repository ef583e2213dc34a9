"""Which samples are remembered first: the selections by name.

A selection gives every sample a rank; of all classes and stages together the lowest ranks stay in the memory. It is a
pure function of what is known of the samples, their ids and the run's seed: neither their order nor the number of
processes matters, and what it keeps in a small memory it keeps in a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dist_mcl.exemplars.greedy import Order, coverage, herding, in_order_of_ids, k_center, one_by_one

_RANDOM = 1  # with it the draws are others than those of random masks


@dataclass(frozen=True)
class Candidates:
    """What a model that has learned some samples knows of them.

    Attributes:
        ids: (n,) the samples' ids, all different.
        features: (n, d) floats.
        logits: (n, c) floats, of all classes seen so far.
    """

    ids: NDArray[np.integer[Any]]
    features: NDArray[Any]
    logits: NDArray[Any]

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Some of them."""
        return Candidates(self.ids[rows], self.features[rows], self.logits[rows])


# Rows of the candidates of one class, best first.
ORDERS: dict[str, Callable[[Candidates, int], Order]] = {
    "herding": lambda one, seed: herding(one.features, one.ids),
    "random": lambda one, seed: random_order(one.ids, seed),
    "entropy": lambda one, seed: entropy_order(one.logits, one.ids),
    "k_center": lambda one, seed: k_center(one.features, one.ids),
    "coverage": lambda one, seed: coverage(one.features, one.ids),
}


def rank_samples(
    selection: str, candidates: Candidates, targets: NDArray[np.integer[Any]], seed: int
) -> NDArray[np.int64]:
    """The rank of each sample, 0 or more.

    In the orders of `ORDERS` it is the place within its class, so all classes keep equally many (to within one, but for
    the sizes of exemplars). `reservoir` ranks all samples of all stages in one random order, so that the memory is an
    even draw from everything that ever arrived, as reservoir sampling's is (Vitter 1985, algorithm R): classes that
    come more often are remembered more often.

    Args:
        selection: one of `ORDERS`, or reservoir.
        targets: (n,) class ids.
        seed: the run's.

    Raises:
        ValueError: features or logits that are not finite, or an id that occurs twice.
    """
    if selection == "reservoir":
        return _keys(candidates.ids, seed)
    ranks = np.zeros(len(targets), dtype=np.int64)
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        ranks[members[ORDERS[selection](candidates.take(members), seed)]] = np.arange(len(members))
    return ranks


def random_order(ids: NDArray[np.integer[Any]], seed: int) -> Order:
    """Int64 (n,): rows in an even random order. Which of two comes first is decided by their ids and the seed alone."""
    return np.lexsort((ids, _keys(ids, seed)))


def entropy_order(logits: NDArray[Any], ids: NDArray[np.integer[Any]]) -> Order:
    """Int64 (n,): rows by the entropy of the predicted class, the least certain sample first; ties to the lower id.

    Entropy-based sampling of arXiv 1801.10112, as an order: samples near the border to other classes come first.
    """
    by_id, rows = in_order_of_ids("entropy", logits, ids)
    logs = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)
    entropy = -(np.exp(logs) * logs).sum(axis=1)
    return by_id[one_by_one(len(ids), lambda left, order: entropy[left])]


def _keys(ids: NDArray[np.integer[Any]], seed: int) -> NDArray[np.int64]:
    # A sample's key is its own, whatever else there is: the k lowest of a stream are an even draw of k, for every k.
    draws = [np.random.SeedSequence((_RANDOM, seed, int(one))).generate_state(1)[0] for one in ids]
    return np.array(draws, dtype=np.int64)

"""What is learned in which step of an epoch: a pure function of the seed, never of the number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dist_mcl.exemplars.augment import draw_text_donor


@dataclass(frozen=True)
class Fresh:
    """A sample of this stage, by its index in the dataset; `masked` as an exemplar would be, or whole."""

    index: int
    masked: bool = False


@dataclass(frozen=True)
class Replayed:
    """An exemplar, by indices into the memory: the picture (and all else) of one, the text of another or the same."""

    index: int
    text: int


Entry = Fresh | Replayed


def epoch_batches(
    *,
    seed: int,
    stage: int,
    epoch: int,
    fresh: Sequence[int],
    memory_labels: Sequence[int],
    replay_ratio: float,
    swap_probability: float,
    fresh_masking: float,
    batch_size: int,
    sampler: Literal["balanced", "proportional"] = "balanced",
) -> list[list[Entry]]:
    """The global batches of one epoch. Every fresh sample comes once, and exemplars with them.

    `balanced`: `round(replay_ratio * len(fresh))` exemplars, all remembered classes equally often (to within one), and
    within a class each exemplar equally often (to within one). Fresh and replayed are mixed evenly. `proportional`:
    every exemplar once, shuffled together with the fresh samples, as iCaRL does (arXiv 1611.07725, algorithm 3).

    The last batch is filled up from the start of the epoch. Without a memory only fresh samples come.

    Args:
        seed, stage, epoch: key of the counter-based generator; nothing else that is random enters.
        fresh: dataset indices of the stage's samples.
        memory_labels: class id of each exemplar; their order is that of the memory.
        replay_ratio: replayed samples per fresh one; of `balanced` alone.
        swap_probability: chance that a replayed text is another one of its class.
        fresh_masking: chance that a fresh sample comes masked, as exemplars are; without a memory none does.
        batch_size: entries of every batch, over all processes.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, stage, epoch))))
    order_of_fresh = rng.permutation(np.asarray(fresh, dtype=np.int64)).tolist()
    labels = np.asarray(memory_labels, dtype=np.int64)
    if sampler == "balanced":
        draws = round(replay_ratio * len(fresh)) if len(labels) else 0
        replayed = _balanced_entries(labels, draws, swap_probability, rng)
    else:
        replayed = _each_entry_once(labels, swap_probability, rng)
    masked = (rng.random(len(fresh)) < (fresh_masking if replayed else 0.0)).tolist()
    seen = [Fresh(*entry) for entry in zip(order_of_fresh, masked, strict=True)]
    order = _mixed(seen, replayed) if sampler == "balanced" else _shuffled([*seen, *replayed], rng)
    steps = -(-len(order) // batch_size)
    return [[order[(step * batch_size + slot) % len(order)] for slot in range(batch_size)] for step in range(steps)]


def micro_batches(batch: Sequence[Entry], size: int) -> list[list[Entry]]:
    """A global batch, cut into micro-batches of `size` consecutive entries: the same ones for any number of processes.

    Raises:
        ValueError: the batch is not a whole number of micro-batches.
    """
    if len(batch) % size:
        raise ValueError(f"a batch of {len(batch)} is not a multiple of {size} samples")
    return [list(batch[start : start + size]) for start in range(0, len(batch), size)]


def _balanced_entries(
    labels: NDArray[np.int64], draws: int, swap_probability: float, rng: np.random.Generator
) -> list[Entry]:
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    entries: list[Entry] = []
    for turn, which in enumerate(rng.permutation(len(classes))):
        members = classes[which]
        share = (draws - turn + len(classes) - 1) // len(classes)  # the classes that come first take the remainder
        cycled = np.resize(rng.permutation(members), share).tolist()
        entries += [Replayed(index, draw_text_donor(index, members, swap_probability, rng)) for index in cycled]
    return _shuffled(entries, rng)


def _each_entry_once(labels: NDArray[np.int64], swap_probability: float, rng: np.random.Generator) -> list[Entry]:
    members = {label: np.flatnonzero(labels == label) for label in np.unique(labels).tolist()}
    return [
        Replayed(index, draw_text_donor(index, members[label], swap_probability, rng))
        for index, label in enumerate(labels.tolist())
    ]


def _shuffled(entries: Sequence[Entry], rng: np.random.Generator) -> list[Entry]:
    return [entries[place] for place in rng.permutation(len(entries))]


def _mixed(fresh: Sequence[Entry], replayed: Sequence[Entry]) -> list[Entry]:
    # Each list is spread evenly over the epoch; sorting the places merges them.
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (fresh, replayed)])
    both = [*fresh, *replayed]
    return [both[place] for place in np.argsort(places, kind="stable")]

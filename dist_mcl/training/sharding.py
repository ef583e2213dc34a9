"""How the ranks share out a pass over samples without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from dist_mcl.backbones.frozen import FrozenModel
from dist_mcl.tokens import Sample
from dist_mcl.training.process_group import ProcessGroup

S = TypeVar("S")
T = TypeVar("T")

BATCH_SIZE = 64


def prepare(backbone: FrozenModel, samples: Sequence[Sample], group: ProcessGroup) -> Sequence[Sample]:
    """All samples, prepared by the backbone; the ranks share the work and every rank gets all.

    A backbone that prepares nothing gets its samples as they are, read when they are used.
    """
    if backbone.preparing is None:
        return samples
    mine = dict(each_batch(backbone.prepare, samples, group, in_step=False))
    return [sample for chunk in of_all_ranks(mine, group) for sample in chunk]


def each_batch(
    work: Callable[[list[S]], T], samples: Sequence[S], group: ProcessGroup, in_step: bool
) -> Iterator[tuple[int, T]]:
    """What `work` makes of each of this rank's batches, with the batch's number.

    The cut into batches is the same for any number of ranks: batch b goes to rank b mod world size. So a sample always
    meets the same neighbours, and its result the same floating-point rounding.

    Args:
        in_step: call `work` equally often on every rank, as a sharded model needs it; where there is no batch left for
            a rank, on the first one again, and the result is dropped.
    """
    count = -(-len(samples) // BATCH_SIZE)
    for first in range(0, count, group.world_size):
        number = first + group.rank
        if number < count:
            yield number, work(list(samples[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]))
        elif in_step:
            work(list(samples[:BATCH_SIZE]))


def of_all_ranks(mine: dict[int, T], group: ProcessGroup) -> list[T]:
    """What all ranks made with `each_batch`, in the batches' order, on every rank.

    Args:
        mine: by the batch's number.
    """
    made = {number: one for share in group.gather(mine) for number, one in share.items()}
    return [made[number] for number in sorted(made)]

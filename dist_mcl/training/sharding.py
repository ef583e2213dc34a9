"""How the ranks share out a pass over samples without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dist_mcl.backbones import SmallBackbone
from dist_mcl.tokens import Sample
from dist_mcl.training.process_group import ProcessGroup

BATCH_SIZE = 64


def prepare(backbone: SmallBackbone, samples: Sequence[Sample], group: ProcessGroup) -> list[Sample]:
    """All samples, prepared by the backbone; the ranks share the work and every rank gets all."""
    mine = {number: backbone.prepare(chunk) for number, chunk in shard(samples, group)}
    chunks = {number: chunk for share in group.gather(mine) for number, chunk in share.items()}
    return [sample for number in sorted(chunks) for sample in chunks[number]]


def shard(samples: Sequence[Sample], group: ProcessGroup) -> Iterator[tuple[int, list[Sample]]]:
    """This rank's batches with their numbers.

    The cut into batches is the same for any number of ranks: batch b goes to rank b mod world size. So a sample always
    meets the same neighbours, and its result the same floating-point rounding.
    """
    for number, start in enumerate(range(0, len(samples), BATCH_SIZE)):
        if number % group.world_size == group.rank:
            yield number, [samples[i] for i in range(start, min(start + BATCH_SIZE, len(samples)))]

"""Passes over samples are cut the same way for any number of ranks."""

from __future__ import annotations

import pytest
import torch

from dist_mcl.tokens import Sample
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import BATCH_SIZE, shard


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, 3 * BATCH_SIZE + 5])
def test_every_batch_goes_to_exactly_one_rank(world_size: int, count: int) -> None:
    samples = [Sample({}, target=0, id=number, stage=1) for number in range(count)]
    batches = {}
    for rank in range(world_size):
        for number, chunk in shard(samples, ProcessGroup(rank, world_size, torch.device("cpu"))):
            assert number not in batches
            batches[number] = [sample.id for sample in chunk]
    alone = dict(shard(samples, ProcessGroup(0, 1, torch.device("cpu"))))
    assert batches == {number: [sample.id for sample in chunk] for number, chunk in alone.items()}
    assert [identity for number in sorted(batches) for identity in batches[number]] == list(range(count))

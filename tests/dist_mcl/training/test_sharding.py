"""Passes over samples are cut the same way for any number of ranks."""

from __future__ import annotations

import pytest
import torch

from dist_mcl.tokens import Sample
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import BATCH_SIZE, each_batch


def ids(samples: list[Sample]) -> list[int]:
    return [sample.id for sample in samples]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, 3 * BATCH_SIZE + 5])
def test_every_batch_goes_to_exactly_one_rank(world_size: int, count: int) -> None:
    samples = [Sample({}, target=0, id=number, stage=1) for number in range(count)]
    batches = {}
    for rank in range(world_size):
        for number, found in each_batch(ids, samples, ProcessGroup(rank, world_size, torch.device("cpu")), False):
            assert number not in batches
            batches[number] = found
    assert batches == dict(each_batch(ids, samples, ProcessGroup(0, 1, torch.device("cpu")), False))
    assert [identity for number in sorted(batches) for identity in batches[number]] == list(range(count))


@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, 3 * BATCH_SIZE + 5])
def test_in_step_every_rank_works_equally_often_and_the_results_are_the_same(count: int) -> None:
    samples = [Sample({}, target=0, id=number, stage=1) for number in range(count)]
    results, calls = [], []
    for rank in range(3):
        seen: list[list[Sample]] = []
        group = ProcessGroup(rank, 3, torch.device("cpu"))
        results.append([number for number, _ in each_batch(seen.append, samples, group, in_step=True)])
        calls.append(len(seen))
        assert all(seen)
    assert len(set(calls)) == 1
    assert sorted(number for its in results for number in its) == list(range(-(-count // BATCH_SIZE)))

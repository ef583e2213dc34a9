"""The sum of a global batch's gradients, without processes: how it is divided among them changes no bit."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dist_mcl.training.gradients import _branches, _sum, batch_gradient, share
from dist_mcl.training.process_group import ProcessGroup


@given(micro_batches=st.integers(1, 40), world_size=st.integers(1, 40))
def test_shares_are_neighbours_and_cover_the_batch_once(micro_batches: int, world_size: int) -> None:
    shares = [share(micro_batches, rank, world_size) for rank in range(world_size)]
    assert [number for its in shares for number in its] == list(range(micro_batches))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(micro_batches=st.integers(1, 40), world_size=st.integers(1, 40), seed=st.integers(0, 99))
def test_any_number_of_processes_has_the_same_bits(micro_batches: int, world_size: int, seed: int) -> None:
    vectors = torch.randn(micro_batches, 3, generator=torch.Generator().manual_seed(seed)) * 1e3

    def computed(branch: range) -> Tensor | None:
        return vectors[branch.start] if len(branch) == 1 else None

    alone = _sum(range(micro_batches), computed)
    parts = [
        branch
        for rank in range(world_size)
        for branch in _branches(share(micro_batches, rank, world_size), micro_batches)
    ]
    assert [number for part in parts for number in part] == list(range(micro_batches))
    assert torch.equal(_sum(range(micro_batches), {part: _sum(part, computed) for part in parts}.get), alone)
    torch.testing.assert_close(alone, vectors.sum(dim=0), rtol=1e-4, atol=1e-1)


def test_a_process_sends_one_vector_where_processes_are_a_power_of_two() -> None:
    assert [_branches(share(8, rank, 4), 8) for rank in range(4)] == [
        [range(first, first + 2)] for first in (0, 2, 4, 6)
    ]
    assert [_branches(share(8, rank, 3), 8) for rank in range(3)] == [
        [range(2)],
        [range(2, 4), range(4, 5)],
        [range(5, 6), range(6, 8)],
    ]


def test_the_mean_and_what_took_no_part() -> None:
    used, unused = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([1.0, 1.0]))
    group = ProcessGroup(rank=0, world_size=1, device=torch.device("cpu"))
    found = batch_gradient(lambda number: number * used.sum(), 3, [unused, used], group)
    assert found.gradient.tolist() == [0.0, 0.0, 1.0]
    assert found.loss == 2.0

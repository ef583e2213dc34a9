"""The gradient of a global batch, summed in an order that does not depend on the number of processes.

Floating-point sums depend on their order, so the ranks do not add up what happens to lie on each of them: a global
batch is cut into micro-batches, always the same ones, whose gradients are added along a binary tree, always the same
one. A rank computes neighbouring micro-batches, adds those of whole branches itself and gives the others the few
vectors that remain, in most cases one. Only what trains is exchanged, which is small: adapters and heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dist_mcl.training.process_group import ProcessGroup

Branch = range  # the numbers of neighbouring micro-batches


@dataclass(frozen=True)
class BatchGradient:
    """What one global batch teaches, equal on every rank.

    Attributes:
        gradient: (P,) fp32 mean over the micro-batches, all parameters one after the other.
        loss: mean over the micro-batches.
    """

    gradient: Tensor
    loss: float


def batch_gradient(
    loss_of: Callable[[int], Tensor],
    micro_batches: int,
    parameters: Sequence[nn.Parameter],
    group: ProcessGroup,
) -> BatchGradient:
    """The mean gradient of a global batch; every rank computes its `share` of the micro-batches.

    Args:
        loss_of: mean loss of a micro-batch, by its number.
        micro_batches: how many there are, all of equal size; at least one for each rank.
        parameters: what trains.

    Raises:
        PeerLostError: another process is gone or did not come in time.
    """

    def taught(number: int) -> Tensor:
        loss = loss_of(number)
        return torch.cat([gradient_vector(loss, parameters), loss.detach().float().reshape(1)])

    mean = tree_sum(taught, micro_batches, group) / micro_batches
    return BatchGradient(mean[:-1], float(mean[-1]))


def tree_sum(vector_of: Callable[[int], Tensor], count: int, group: ProcessGroup) -> Tensor:
    """The sum of `count` vectors of one size, equal on every rank; each computes its `share` of them.

    Args:
        vector_of: by its number. Where there are fewer than ranks, every rank asks for all.

    Raises:
        PeerLostError: another process is gone or did not come in time.
    """

    def computed(branch: Branch) -> Tensor | None:
        return vector_of(branch.start) if len(branch) == 1 else None

    if count < group.world_size:
        return _sum(range(count), computed)
    branches = [_branches(share(count, rank, group.world_size), count) for rank in range(group.world_size)]
    mine = [_sum(branch, computed) for branch in branches[group.rank]]
    mine += [torch.zeros_like(mine[0])] * (max(map(len, branches)) - len(mine))  # all ranks exchange equally many
    sums = {
        branch: vector
        for its, vectors in zip(branches, group.exchange(torch.stack(mine)).finish(), strict=True)
        for branch, vector in zip(its, vectors, strict=False)
    }
    return _sum(range(count), sums.get)


def share(micro_batches: int, rank: int, world_size: int) -> Branch:
    """The micro-batches of a global batch that a rank computes: neighbours, as many as others' or one less or more."""
    return range(micro_batches * rank // world_size, micro_batches * (rank + 1) // world_size)


def _branches(part: Branch, micro_batches: int) -> list[Branch]:
    """The largest branches of the tree over all micro-batches that a part of them consists of, in their order."""

    def within(branch: Branch) -> list[Branch]:
        if part.start <= branch.start and branch.stop <= part.stop:
            return [branch]
        if branch.stop <= part.start or part.stop <= branch.start:
            return []
        return [found for half in _halves(branch) for found in within(half)]

    return within(range(micro_batches))


def _halves(branch: Branch) -> tuple[Branch, Branch]:
    left = 1 << (len(branch) - 1).bit_length() - 1  # the largest power of two that leaves something for the right
    return branch[:left], branch[left:]


def _sum(branch: Branch, known: Callable[[Branch], Tensor | None]) -> Tensor:
    """Sum of a branch: what is known of it, or the sum of its halves."""
    found = known(branch)
    if found is not None:
        return found
    left, right = (_sum(half, known) for half in _halves(branch))
    return left + right


def gradient_vector(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """(P,) fp32: the gradient of a loss, of all parameters one after the other."""
    # Not .backward(): that would set off DeepSpeed's own reduction. A parameter that took no part gets zeros.
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.float().flatten() for gradient in gradients])


def clipped(gradient: Tensor, limit: float) -> Tensor:
    """The gradient, shortened to at most `limit` in its L2 norm."""
    norm = torch.linalg.vector_norm(gradient)
    return gradient * (limit / (norm + 1e-6)).clamp(max=1.0)


class GivenGradient(nn.Module):
    """What DeepSpeed trains: a loss whose gradient is exactly the one that it is called with.

    So DeepSpeed's optimiser, with its sharded state, steps with a gradient that was computed elsewhere.

    Args:
        model: its trainable parameters are optimised.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, gradient: Tensor) -> Tensor:
        """A zero, whose gradient for all trainable parameters is this (P,) one."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        loss: Tensor = _Given.apply(gradient, *parameters)
        return loss


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.shapes = [parameter.shape for parameter in parameters]
        return gradient.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *of_loss: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        pieces = (gradient * of_loss[0]).split([shape.numel() for shape in ctx.shapes])
        return None, *(piece.view(shape) for piece, shape in zip(pieces, ctx.shapes, strict=True))

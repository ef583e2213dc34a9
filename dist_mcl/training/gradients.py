"""The gradient of a global batch, summed in an order that does not depend on the number of processes.

Floating-point sums depend on their order, so the ranks do not add up what happens to lie on each of them: a global
batch is cut into micro-batches, always the same ones, and every rank adds all their gradients in the batch's order.
Only what trains is exchanged, which is small: adapters and heads. The traffic is one vector per micro-batch, and
travels while the next micro-batch is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dist_mcl.training.process_group import Exchange, ProcessGroup


@dataclass(frozen=True)
class BatchGradient:
    """What one global batch teaches.

    Attributes:
        gradient: (P,) fp32 mean over the micro-batches, all parameters one after the other; equal on every rank.
        losses: mean loss of each micro-batch, in their order; equal on every rank.
    """

    gradient: Tensor
    losses: list[float]


def batch_gradient(
    loss_of: Callable[[int], Tensor],
    micro_batches: int,
    parameters: Sequence[nn.Parameter],
    group: ProcessGroup,
) -> BatchGradient:
    """The mean gradient of a global batch; micro-batch m is computed by rank m % world size.

    Args:
        loss_of: mean loss of a micro-batch, by its number.
        micro_batches: how many there are, all of equal size.
        parameters: what trains.

    Raises:
        PeerLostError: another process is gone or did not come in time.
    """
    size = sum(parameter.numel() for parameter in parameters)
    total = torch.zeros(size, device=group.device)
    losses = []
    for vector in _vectors_in_order(loss_of, micro_batches, parameters, group):
        total += vector[:size]
        losses.append(vector[size].clone())
    return BatchGradient(total / micro_batches, torch.stack(losses).tolist())  # one wait for a GPU, and not for each


def _vectors_in_order(
    loss_of: Callable[[int], Tensor],
    micro_batches: int,
    parameters: Sequence[nn.Parameter],
    group: ProcessGroup,
) -> Iterator[Tensor]:
    travelling: Exchange | None = None
    for first in range(0, micro_batches, group.world_size):
        mine = first + group.rank
        vector = _vector(loss_of(mine) if mine < micro_batches else None, parameters, group)
        if travelling is not None:  # while the next micro-batch was computed
            yield from travelling.finish()
        travelling = group.exchange(vector)
    if travelling is not None:
        yield from travelling.finish()[: micro_batches % group.world_size or None]


def _vector(loss: Tensor | None, parameters: Sequence[nn.Parameter], group: ProcessGroup) -> Tensor:
    """(P + 1,) fp32: the gradient of a loss, and the loss itself; zeros where this rank has no micro-batch."""
    if loss is None:
        return torch.zeros(sum(parameter.numel() for parameter in parameters) + 1, device=group.device)
    # Not .backward(): that would set off DeepSpeed's own reduction. A parameter that took no part gets zeros.
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([*(gradient.float().flatten() for gradient in gradients), loss.detach().float().reshape(1)])


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

"""The processes of one stage, and the little that they say to each other besides what DeepSpeed does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import deepspeed
import torch
import torch.distributed as dist
from torch import Tensor

from dist_mcl.errors import UserError
from stage_launchers import rendezvous

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)


class PeerLostError(RuntimeError):
    """Another process of the stage is gone, or did not take part in a step in time."""


@dataclass(frozen=True)
class Exchange:
    """Vectors on their way between the ranks.

    Attributes:
        vectors: every rank's, in rank order; they are there once `finish` has returned.
        own: this rank's, which must not change before that.
    """

    rank: int
    own: Tensor
    vectors: list[Tensor]
    work: dist.Work | None

    def finish(self) -> list[Tensor]:
        """Every rank's vector, unchanged to the last bit, in rank order, on every rank.

        Raises:
            PeerLostError: a rank is gone, or did not come within the step timeout.
        """
        if self.work is not None:
            with _peers_may_be_lost(self.rank):
                self.work.wait()
        return self.vectors


@contextmanager
def _peers_may_be_lost(rank: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"rank {rank} lost another process in a training step: {error}") from error


@dataclass(frozen=True)
class ProcessGroup:
    """This process among all processes of the stage.

    Attributes:
        steps: the same processes, but waiting for each other no longer than a training step may last. None: as long
            as for anything else.
    """

    rank: int
    world_size: int
    device: torch.device
    steps: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank. Values are plain objects made in this very run."""
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: T | None) -> T:
        """Rank 0's value on every rank."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.gather(None)

    def exchange(self, vector: Tensor) -> Exchange:
        """Begin to give every rank's vector to every rank; all ranks exchange in the same order.

        Args:
            vector: of the same shape and dtype on every rank, on `device`.

        Raises:
            PeerLostError: a rank is gone.
        """
        if self.world_size == 1:
            return Exchange(self.rank, vector, [vector], None)
        vectors = [torch.empty_like(vector) for _ in range(self.world_size)]
        with _peers_may_be_lost(self.rank):
            work = dist.all_gather(vectors, vector, group=self.steps, async_op=True)
        return Exchange(self.rank, vector, vectors, work)

    def highest(self, value: int) -> int:
        """The highest of all ranks' values, on every rank.

        Raises:
            PeerLostError: a rank is gone, or did not come within the step timeout.
        """
        return max(int(its) for its in self.exchange(torch.tensor(value, device=self.device)).finish())


def join_process_group(step_timeout: float) -> ProcessGroup:
    """Meet the other ranks: NCCL where there are GPUs, one for each local rank; gloo where there are none.

    Args:
        step_timeout: seconds that a rank waits for the others within a training step.

    Raises:
        RendezvousError: contradictory launch variables.
        UserError: fewer GPUs than processes on this machine.
    """
    place = rendezvous()
    on_gpu = torch.cuda.is_available()
    if on_gpu and place.local_rank >= torch.cuda.device_count():
        raise UserError(
            f"launcher.processes: process {place.local_rank + 1} of this machine needs a GPU of its own, and sees "
            f"{torch.cuda.device_count()}; set launcher.processes to the number of GPUs"
        )
    if not on_gpu:
        # On a CPU DeepSpeed would compile a C++ operator here that only inference uses; without a compiler it fails.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    device = torch.device("cuda", place.local_rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", timeout=_TIMEOUT, verbose=False)
    steps = dist.new_group(timeout=timedelta(seconds=step_timeout))
    return ProcessGroup(place.rank, place.world_size, device, steps)

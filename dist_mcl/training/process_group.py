"""The processes of one stage, and the little that they say to each other besides gradients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import deepspeed
import torch
import torch.distributed as dist

from stage_launchers import rendezvous

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class ProcessGroup:
    """This process among all processes of the stage."""

    rank: int
    world_size: int
    device: torch.device

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


def join_process_group() -> ProcessGroup:
    """Meet the other ranks: NCCL where there is a GPU for each local rank, gloo otherwise.

    Raises:
        RendezvousError: contradictory launch variables.
    """
    place = rendezvous()
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        # On a CPU DeepSpeed would compile a C++ operator here that only inference uses; without a compiler it fails.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    device = torch.device("cuda", place.local_rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", timeout=_TIMEOUT, verbose=False)
    return ProcessGroup(place.rank, place.world_size, device)

"""How much memory one rank holds, and how much it should hold by the sizes of what it trains."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from deepspeed.runtime.zero.utils import is_zero_param
from torch import nn

# Without these, freed buffers stay in glibc's heap and every setting seems to need the same.
RETURN_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}

_PROCESS = Path("/proc/self")
# Numbers of mallopt(3), and the values that glibc arrives at by itself when large blocks come and go.
_BY_DEFAULT = {-1: 64 << 20, -3: 32 << 20, -8: 8}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX


class Memory:
    """Memory of this process beyond what it held when this was made, in bytes.

    On a GPU what torch has allocated there, else the unique set size: libraries that processes share do not count.
    """

    def __init__(self) -> None:
        self._before = self._now()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            (_PROCESS / "clear_refs").write_text("5")  # proc_pid_clear_refs(5): begin to look for the peak anew

    def held(self) -> int:
        """Bytes held now."""
        return self._now() - self._before

    def peak(self) -> int:
        """The most that was held."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() - self._before
        # Linux keeps the peak of the resident set, in which the shared libraries are no more now than then.
        status = dict(re.findall(r"^(\w+):\s+(\d+) kB$", (_PROCESS / "status").read_text("ascii"), re.MULTILINE))
        return self.held() + 1024 * (int(status["VmHWM"]) - int(status["VmRSS"]))

    def _now(self) -> int:
        if torch.cuda.is_available():
            return torch.cuda.memory_allocated()
        return int(psutil.Process().memory_full_info().uss)


def keep_freed_memory() -> None:
    """End `RETURN_AT_ONCE`: with it the kernel takes a good part of a step's time, and no training is run like that."""
    for number, value in _BY_DEFAULT.items():
        ctypes.CDLL(None).mallopt(number, value)


@dataclass(frozen=True)
class Sizes:
    """Bytes of a model's parameters, and how many train."""

    frozen_bytes: int
    trainable: int

    @classmethod
    def of(cls, model: nn.Module) -> Sizes:
        """Of the whole model, also where this rank holds only a share of it."""
        frozen = [value for value in model.parameters() if not value.requires_grad]
        trainable = [value for value in model.parameters() if value.requires_grad]
        return cls(sum(_count(one) * one.element_size() for one in frozen), sum(map(_count, trainable)))

    def per_rank(self, zero_stage: int, processes: int) -> float:
        """Bytes that a rank holds between two steps, buffers and activations aside; what trains is fp32, with AdamW.

        Of each trainable number 4 bytes are the weight, 4 its gradient and 8 the moments; DeepSpeed's ZeRO adds a flat
        copy of 4. Stage 2 cuts up all but the weight, stage 3 all, the frozen weights too.
        """
        if zero_stage == 0:
            return self.frozen_bytes + 16 * self.trainable
        if zero_stage == 1:
            return self.frozen_bytes + 8 * self.trainable + 12 * self.trainable / processes
        if zero_stage == 2:
            return self.frozen_bytes + 4 * self.trainable + 16 * self.trainable / processes
        return (self.frozen_bytes + 20 * self.trainable) / processes


def _count(parameter: nn.Parameter) -> int:
    return int(parameter.ds_numel) if is_zero_param(parameter) else parameter.numel()

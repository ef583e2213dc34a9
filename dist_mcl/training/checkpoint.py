"""Checkpoints inside a stage: what it has trained so far, written whole, then committed by one small file.

    checkpoint/<step>/trained.safetensors   parameters and both of Adam's moments, whole; the loss of every step so far
    checkpoint/<step>/COMMIT.json           size and digest of that, written last: without it there is no checkpoint

DeepSpeed's own checkpoints are pickles, cut for one number of processes and one ZeRO stage. What trains is small, so it
is gathered instead, and any number of processes continues from it with the same bits. Nothing else is needed: the
order of the samples and every random draw are functions of seed, stage and step, the learning rate of the step.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dist_mcl.config import Checkpointing
from dist_mcl.files import read_json, sha256, sync_folder, write_json
from dist_mcl.training.engine import Engine
from dist_mcl.training.process_group import ProcessGroup

_TENSORS = "trained.safetensors"
_COMMIT = "COMMIT.json"
_LOSSES = "losses"


@dataclass(frozen=True)
class Checkpoint:
    """A stage after `step` optimiser steps.

    Attributes:
        losses: of every step so far.
        tensors: as `Engine.state` returned them.
    """

    step: int
    losses: list[float]
    tensors: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one stage. Every rank makes one and calls the same methods; rank 0 writes.

    Args:
        folder: `checkpoint/` of the stage; need not be there.
        generation: of the memory that the stage replays, None without one. A checkpoint of another is not used.
        check_current: raises when another attempt at the stage has begun; called right before a commit.
    """

    def __init__(
        self,
        folder: Path,
        config: Checkpointing,
        generation: int | None,
        group: ProcessGroup,
        check_current: Callable[[], None],
    ) -> None:
        self._folder, self._config, self._generation = folder, config, generation
        self._group, self._check_current = group, check_current
        self._last_step, self._last_time = 0, time.monotonic()

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, the same on every rank, or None."""
        step = self._group.broadcast(self._newest_step() if self._group.is_first else None)
        if step is None:
            return None
        self._last_step = step
        tensors = load_file(self._folder / str(step) / _TENSORS)
        return Checkpoint(step, tensors.pop(_LOSSES).tolist(), tensors)

    def is_due(self, step: int) -> bool:
        """Whether it is time for another one. Rank 0's clock decides; the others say False."""
        steps, seconds = self._config.every_steps, self._config.every_seconds
        return self._group.is_first and (
            (steps is not None and step - self._last_step >= steps)
            or (seconds is not None and time.monotonic() - self._last_time >= seconds)
        )

    def save(self, step: int, losses: list[float], engine: Engine) -> None:
        """Save, and remove what is more than the newest `keep`. Returns on every rank when it is committed.

        Raises:
            OSError, SafetensorError: it could not be written; what was committed before is unharmed.
        """
        tensors = engine.state()
        if empty := [name for name, value in tensors.items() if not value.numel()]:
            raise ValueError(f"{empty[0]} is empty")
        if self._group.is_first:
            self._write(step, {**tensors, _LOSSES: torch.tensor(losses, dtype=torch.float64)})
            self._prune()
        self._last_step, self._last_time = step, time.monotonic()
        self._group.barrier()

    def _write(self, step: int, tensors: dict[str, Tensor]) -> None:
        built = self._folder / str(step)
        try:
            shutil.rmtree(built, ignore_errors=True)  # of an attempt that did not come to commit it
            built.mkdir(parents=True)
            save_file(tensors, built / _TENSORS)
            with (built / _TENSORS).open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self._folder)
            self._check_current()
            write_json(built / _COMMIT, self._commit_record(step, built / _TENSORS))
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)  # on a full disk this makes room for the reason of the failure
            raise

    def _commit_record(self, step: int, file: Path) -> dict[str, object]:
        return {
            "step": step,
            "processes": self._group.world_size,
            "store_generation": self._generation,
            "files": {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}},
        }

    def _prune(self) -> None:
        whole = [step for step in self._steps() if (self._folder / str(step) / _COMMIT).is_file()]
        for step in set(self._steps()) - set(whole[-self._config.keep :]):
            (self._folder / str(step) / _COMMIT).unlink(missing_ok=True)  # first: no commit without its files
            shutil.rmtree(self._folder / str(step), ignore_errors=True)

    def _newest_step(self) -> int | None:
        for step in reversed(self._steps()):
            reason = self._why_unusable(self._folder / str(step))
            if reason is None:
                return step
            print(f"checkpoint {step} is not used: {reason}", file=sys.stderr)
        return None

    def _why_unusable(self, folder: Path) -> str | None:
        try:
            commit: dict[str, Any] | None = read_json(folder / _COMMIT)
        except ValueError as error:
            return str(error)
        if commit is None:
            return "it was not committed"
        if commit["store_generation"] != self._generation:
            return f"it replayed generation {commit['store_generation']} of the store, which has {self._generation} now"
        file = folder / _TENSORS
        if not file.is_file() or sha256(file) != commit["files"][_TENSORS]["sha256"]:
            return f"{_TENSORS} is damaged"
        return None

    def _steps(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit())

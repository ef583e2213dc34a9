"""One attempt at one stage, whatever the stage learns: its steps, and what it may commit."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dist_mcl.config import Experiment
from dist_mcl.run_folder import ProgressFile, RunFolder, StageFolder
from dist_mcl.training.agreement import check_agreement, stage_facts
from dist_mcl.training.checkpoint import Checkpoints
from dist_mcl.training.preemption import StopRequests
from dist_mcl.training.process_group import ProcessGroup


class SupersededError(RuntimeError):
    """Another attempt at this stage has begun; this one must not write any more."""


@dataclass
class StageRun(ABC):
    """One attempt at one stage, on one rank.

    Attributes:
        run: the run folder.
        folder: the stage's folder in it.
        attempt: number of this attempt; nothing is committed once the stage's state names a later one.
        group: this rank among the others.
        progress: where rank 0 says what it is doing.
        stop: asked before every step of the stage, and in training after every optimiser step.
    """

    run: RunFolder
    folder: StageFolder
    attempt: int
    group: ProcessGroup
    progress: ProgressFile
    stop: StopRequests

    def finish(self) -> None:
        """Do every step that is not done yet, and seal the stage.

        Raises:
            UserError: data, models or files of the run are missing or damaged.
            RanksDisagreeError: not all ranks see the same run, or run the same versions.
            SupersededError: a later attempt has begun.
            StageYieldedError: asked to stop; the next attempt continues.
        """
        check_agreement(stage_facts(self.run), self.group)
        torch.set_float32_matmul_precision(self._experiment.training.matmul_precision)
        steps = {"train": self.train, "memorise": self.memorise, "evaluate": self.evaluate}
        for step, work in steps.items():
            if self.group.broadcast(self.folder.record(step) is None):
                self.stop.obey()
                begun = time.time()
                record = work()
                if self.group.is_first:
                    self._check_current()
                    self.folder.finish(step, {**record, "seconds": time.time() - begun})
                self.group.barrier()
        if self.group.is_first:
            self._check_current()
            shutil.rmtree(self._checkpoint_folder, ignore_errors=True)
            self.folder.seal()
        self.group.barrier()

    @abstractmethod
    def train(self) -> dict[str, object]:
        """Learn what the stage brings, and publish what was learned; returns the step's record."""

    @abstractmethod
    def memorise(self) -> dict[str, object]:
        """Keep what is to be remembered of it; returns the step's record."""

    @abstractmethod
    def evaluate(self) -> dict[str, object]:
        """Test on all that was seen so far; returns the step's record."""

    @property
    def _experiment(self) -> Experiment:
        return self.run.experiment

    @property
    def _checkpoint_folder(self) -> Path:
        return self.folder.path / "checkpoint"

    def _checkpoints(self, generation: int | None) -> Checkpoints:
        config = self._experiment.training.checkpoint
        return Checkpoints(self._checkpoint_folder, config, generation, self.group, self._check_current)

    def _publish(self, save: Callable[[Path], None]) -> None:
        """Put what `save` writes in place as the stage's adapter folder; rank 0 alone."""
        self._check_current()
        built = self.folder.attempt(self.attempt) / "adapter"
        save(built)
        self.folder.publish_adapter(built)

    def _check_current(self) -> None:
        current = self.folder.state.attempt
        if current != self.attempt:
            raise SupersededError(
                f"attempt {self.attempt} at stage {self.folder.number} was replaced by attempt {current}"
            )

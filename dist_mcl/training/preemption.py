"""Stopping early when asked to: by SIGTERM or SIGUSR1 to any process, or by the file STOP in the run folder.

A signal handler only counts. Between two steps all ranks agree what to do, for a rank that stopped by itself would
leave the others waiting. A second signal means there is no time left, not even to save.
"""

from __future__ import annotations

import signal
import time
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from dist_mcl.files import write_json

if TYPE_CHECKING:  # signals are counted before torch is imported, which takes seconds
    from dist_mcl.training.process_group import ProcessGroup


class StageYieldedError(Exception):
    """The attempt ended early, as it was asked to: nothing failed, and the next attempt continues."""


class Intention(IntEnum):
    """What a rank wants to do between two steps. The ranks do the highest of what each wants."""

    CONTINUE = 0
    SAVE = 1
    SAVE_AND_YIELD = 2
    YIELD = 3


class StopSignals:
    """Counts SIGTERM and SIGUSR1 once it is installed."""

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        """From now on these signals do not end the process."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._notice)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.count += 1  # nothing else: a handler may interrupt anything, a write to a log as well


class StopRequests:
    """What this rank knows of requests to stop, and how the ranks agree on it.

    Args:
        stop_file: whoever makes this file asks the stage to stop; rank 0 looks for it.
        attempt: folder of the attempt; receives `yielded.json`.
    """

    def __init__(self, signals: StopSignals, stop_file: Path, attempt: Path, group: ProcessGroup) -> None:
        self._signals, self._stop_file, self._attempt, self._group = signals, stop_file, attempt, group

    def agree(self, is_checkpoint_due: bool = False) -> Intention:
        """What all ranks are going to do now. Every rank must call this.

        Raises:
            PeerLostError: another process is gone or did not come in time.
        """
        return Intention(self._group.highest(self._wish(is_checkpoint_due)))

    def obey(self) -> None:
        """Yield if asked to, at a place where everything is saved already.

        Raises:
            StageYieldedError: asked to.
        """
        if self.agree() >= Intention.SAVE_AND_YIELD:
            self.leave(step=None, is_saved=True)

    def leave(self, step: int | None, is_saved: bool) -> NoReturn:
        """Leave word for the coordinator and end the attempt on all ranks.

        Args:
            step: optimiser steps done; None outside training.
            is_saved: whether the next attempt continues from right here.

        Raises:
            StageYieldedError: always.
        """
        if self._group.is_first:
            write_json(self._attempt / "yielded.json", {"step": step, "saved": is_saved, "time": time.time()})
        self._group.barrier()  # no rank goes, and with it perhaps the job, before that is written
        raise StageYieldedError("asked to stop")

    def _wish(self, is_checkpoint_due: bool) -> Intention:
        if self._signals.count > 1:
            return Intention.YIELD
        if self._signals.count or (self._group.is_first and self._stop_file.exists()):
            return Intention.SAVE_AND_YIELD
        return Intention.SAVE if is_checkpoint_due else Intention.CONTINUE

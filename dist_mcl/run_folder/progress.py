"""What a stage is doing right now, in a small file that `mcl run` and `mcl status` read."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_SECONDS_BETWEEN_WRITES = 0.25


@dataclass
class Progress:
    """One look at a running stage.

    Attributes:
        step: "start", "prepare", "train", "memorise", "evaluate" or "scoring captions".
        done, total: finished and planned units of the step.
        loss: the latest training loss of rank 0's share, None outside training.
        samples_per_second: over all ranks, since the step began.
        begun: when the step began, seconds since the epoch.
        time: when this was written, seconds since the epoch.
    """

    step: str
    done: int = 0
    total: int = 0
    loss: float | None = None
    samples_per_second: float | None = None
    begun: float = 0.0
    time: float = 0.0


class ProgressFile:
    """Writes `progress.json` of an attempt a few times a second at most. Ranks other than 0 pass `path=None`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = 0.0
        self._begun = 0.0

    def begin(self, step: str, total: int = 0) -> None:
        """A new step starts."""
        self._begun = time.time()
        self._write(Progress(step, total=total))

    def update(self, step: str, done: int, total: int, samples: int = 0, loss: float | None = None) -> None:
        """Some units are done; `samples` counts what all ranks went through since the step began."""
        now = time.time()
        if done == total or now - self._written >= _SECONDS_BETWEEN_WRITES:
            rate = samples / max(now - self._begun, 1e-9) if samples else None
            self._write(Progress(step, done, total, loss, rate))

    def _write(self, progress: Progress) -> None:
        if self._path is None:
            return
        progress.begun = self._begun
        progress.time = self._written = time.time()
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(progress)), encoding="utf-8")
        temporary.replace(self._path)


def read_progress(path: Path) -> Progress | None:
    """The latest progress of an attempt, or None before its first."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None

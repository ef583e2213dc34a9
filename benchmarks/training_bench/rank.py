"""One rank of one measurement: `python -m training_bench.rank PROGRAM STEPS EXPERIMENT OUT`.

Writes OUT/rank-<n>.json: the seconds of every optimiser step after the first few, and the peak of this rank's memory.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil
import torch

from dist_mcl.config import Experiment
from dist_mcl.training.process_group import join_process_group
from training_bench.programs import PROGRAMS
from training_bench.task import Task

# The first steps allocate and warm up.
_SKIPPED_STEPS = 3
_SECONDS_BETWEEN_LOOKS = 0.05


class PeakMemory:
    """The largest unique set size of this process, from its making on; USS, so shared libraries do not count."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.bytes = self._process.memory_full_info().uss
        self._ended = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self.bytes = max(self.bytes, self._process.memory_full_info().uss)

    def end(self) -> int:
        self._ended.set()
        return self.bytes


def main(program: str, steps: int, experiment: Experiment, out: Path) -> None:
    """Train, and write down how long the steps took."""
    group = join_process_group(experiment.training.step_timeout)
    torch.set_num_threads(experiment.launcher.threads or 1)
    task = Task(experiment, steps)
    task.samples  # noqa: B018 - prepared before the clock starts
    memory, ticks = PeakMemory(), []
    PROGRAMS[program](task, group, lambda: ticks.append(time.perf_counter()))
    seconds = [after - before for before, after in pairwise(ticks)][_SKIPPED_STEPS:]
    found = {"steps": len(ticks), "seconds": seconds, "bytes": memory.end(), "tokens_per_step": task.tokens_per_step()}
    (out / f"rank-{group.rank}.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Experiment.model_validate_json(sys.argv[3]), Path(sys.argv[4]))

"""From the end of one stage to the first step of the next, in a real run on local processes."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from dist_mcl.config import Experiment
from dist_mcl.coordinator.schedule import finish_run
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.run_folder import Progress, StageFolder


def measure_handover(processes: int, threads: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of each part, medians over runs of two stages on few samples.

    Returns:
        "seconds" of the whole, and what it consists of: "start" until the new ones run, "libraries" until they are
        loaded and the ranks have met, "data" for the model, samples and the memory, "first step" with its engine.
    """
    experiment = Experiment.model_validate(
        {
            "name": "handover",
            "scenario": {"stages": 2},
            "data": {"max_per_class": 8},
            "training": {"epochs": 1, "micro_batch_size": 8},
            "launcher": {"processes": processes, "threads": threads},
        }
    )
    runs = [_one(experiment, folder / f"handover-{processes}-{number}") for number in range(rounds)]
    return {"processes": processes, **{part: statistics.median(run[part] for run in runs) for part in runs[0]}}


def _one(experiment: Experiment, folder: Path) -> dict[str, float]:
    begun: dict[str, float] = {}

    def watch(stage: StageFolder, progress: Progress) -> None:
        if stage.number == 2:
            begun.setdefault(progress.step, progress.begun)
            if progress.step == "train" and progress.done:
                begun.setdefault("stepped", progress.time)

    run = open_or_begin(folder, experiment)
    finish_run(run, watch)
    sealed = (run.stage(1).path / "MANIFEST.json").stat().st_mtime
    times = [sealed, *(begun[part] for part in ("start", "prepare", "train", "stepped"))]
    parts = ("start", "libraries", "data", "first step")
    spent = {part: after - before for part, before, after in zip(parts, times, times[1:], strict=False)}
    return {"seconds": times[-1] - sealed, **spent}

"""A whole experiment in this process: the stages of `mcl run`, without the time that starting processes takes.

What does not change between the runs of a study is made once: data sets, frozen backbones, and what their encoders make
of media. The result is that of `mcl run` with one process of one thread.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from dist_mcl.config import Experiment
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.run_folder import ProgressFile, RunFolder, StageFolder
from dist_mcl.training.preemption import StopRequests, StopSignals
from dist_mcl.training.process_group import ProcessGroup, join_process_group
from dist_mcl.training.stage_run import StageRun

S = TypeVar("S", bound=StageRun)


def run_here(path: Path, experiment: Experiment, kind: type[S]) -> list[S]:
    """Begin or continue a run and bring its stages to their end; returns them.

    Args:
        kind: what runs a stage, `ClassStudyStage` or `ModalityStudyStage`.

    Raises:
        UserError: as `mcl run` refuses it.
    """
    run = open_or_begin(path, experiment)
    stages = [_begin(run, folder, kind) for folder in run.stages()]
    for stage in stages:
        stage.finish()
    return stages


def record_of(stage: StageRun, step: str) -> dict[str, Any]:
    """What a step of a finished stage has left."""
    found = stage.folder.record(step)
    assert found is not None
    return found


@lru_cache(maxsize=1)
def only_process() -> ProcessGroup:
    """The group of this process alone."""
    torch.set_num_threads(1)
    return join_process_group(step_timeout=300)


def _begin(run: RunFolder, folder: StageFolder, kind: type[S]) -> S:
    attempt, group = folder.new_attempt(), only_process()
    folder.write_state(replace(folder.state, status="running", attempt=attempt))
    stop = StopRequests(StopSignals(), run.stop_file, folder.attempt(attempt), group)
    return kind(run, folder, attempt, group, ProgressFile(None), stop)

"""Ranks that run stages of modalities as workers do, and end as these do."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NoReturn

import torch

from dist_mcl.run_folder import ProgressFile, RunFolder
from dist_mcl.training.modality_stage import ModalityStageRun
from dist_mcl.training.preemption import StopRequests, StopSignals
from dist_mcl.training.process_group import join_process_group
from stage_launchers import die_with_launcher, end_process


def run_rank(path: Path, number: int, attempt: int) -> NoReturn:
    """One rank of an attempt at a stage, from its start to the end of its process."""
    die_with_launcher()
    torch.set_num_threads(1)
    try:
        run = RunFolder.open(path)
        group = join_process_group(run.experiment.training.step_timeout)
        folder = run.stage(number)
        stop = StopRequests(StopSignals(), run.stop_file, folder.attempt(attempt), group)
        ModalityStageRun(run, folder, attempt, group, ProgressFile(None), stop).finish()
        code = 0
    except Exception:  # noqa: BLE001 - a rank that fails ends as a worker does
        traceback.print_exc()
        code = 1
    end_process(code)

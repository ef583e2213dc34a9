"""One rank of one program: `python -m training_bench.rank PROGRAM PORT STEPS EXPERIMENT SIZE OUT`.

It trains once, saving two steps before the end, and then again from there. Every step, and what comes between the last
step of the first training and the first step of the second, is a turn.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch

from dist_mcl.config import Experiment
from dist_mcl.training.process_group import join_process_group
from stage_launchers import die_with_launcher
from training_bench.diary import Diary
from training_bench.memory import Memory
from training_bench.programs import PROGRAMS
from training_bench.random_weights import Size
from training_bench.task import Task
from training_bench.turns import Seat

STEPS_AFTER_SAVING = 2


def main(name: str, port: int, steps: int, experiment: Experiment, size: Size | None, folder: Path) -> None:
    """Train twice, and tell the referee how long everything took."""
    group = join_process_group(experiment.training.step_timeout)
    torch.set_num_threads(experiment.launcher.threads or 1)
    torch.set_float32_matmul_precision(experiment.training.matmul_precision)
    task = Task(experiment, steps, size, group)
    tokens = task.tokens_per_step()  # makes the samples, too
    program = PROGRAMS[name.partition(",")[0]]
    memory = Memory()
    seat = Seat(port, name, group.rank)
    diary = Diary(seat, memory)
    program(task, diary, folder, steps - STEPS_AFTER_SAVING)
    seat.end_turn("end")
    program(task, diary, folder, steps - STEPS_AFTER_SAVING)
    seat.leave(tokens=tokens, bytes=diary.bytes, sizes=dataclasses.asdict(diary.sizes) if diary.sizes else {})


if __name__ == "__main__":
    die_with_launcher()
    _, chosen, where, count, config, wanted, out = sys.argv
    given = json.loads(wanted)
    main(
        chosen,
        int(where),
        int(count),
        Experiment.model_validate_json(config),
        None if given is None else Size(**given),
        Path(out),
    )

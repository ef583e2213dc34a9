"""What a training step costs: ours beside Hugging Face's Trainer with PEFT and a bare DeepSpeed loop, in one run.

The same model with LoRA, samples, micro-batches, optimiser and DeepSpeed settings: that the losses agree is part of the
result. The programs of a setting run side by side and take turns, one optimiser step each, so that other load on the
machine meets all of them. A figure is the median over the steps, with quartiles; a ratio is ours by theirs in the same
round, so below 1 ours is faster. On a GPU where there is one.

    python benchmarks/training.py --zero 0 2 --processes 1 2 --json training.json
    python benchmarks/training.py --random-weights 36 4096 --precision bf16 --processes 1     # 7.4e9 parameters

Programs of a setting share the GPU: its memory must hold the model three or four times.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from dist_mcl.config import Experiment
from stage_launchers import Handle, Job, LocalLauncher
from training_bench.handover import measure_handover
from training_bench.memory import RETURN_AT_ONCE
from training_bench.random_weights import Size
from training_bench.results import Turns, rows_of
from training_bench.table import print_tables
from training_bench.turns import Referee

_LOG_TAIL = 3000


def main() -> None:
    """Measure every program in every setting, and print the tables."""
    options = _options()
    settings = list(product(options.zero, options.processes))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for zero_stage, processes in track(settings, "measuring"):
            places = [Path(folder) / f"{zero_stage}-{processes}-{start}" for start in range(options.starts)]
            rows += rows_of(
                zero_stage, processes, [_measure(zero_stage, processes, options, place) for place in places]
            )
        handovers = [
            measure_handover(processes, options.threads, options.handovers, Path(folder))
            for processes in (options.processes if options.handovers else ())
        ]
    facts = {"device": _device(), "options": {**vars(options), "json": None}, "rows": rows, "handovers": handovers}
    print_tables(facts)
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zero", type=int, nargs="+", default=[0, 2, 3], choices=range(4), help="ZeRO stages (0 2 3)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="numbers of processes (1 2)")
    parser.add_argument("--steps", type=int, default=24, help="optimiser steps of each program (24)")
    parser.add_argument(
        "--starts",
        type=int,
        default=1,
        help="of each program; how memory happens to lie makes a process 1 or 2 %% faster or slower for good (1)",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="samples of an optimiser step (32)")
    parser.add_argument("--micro-batch-size", type=int, default=8, help="samples of a forward pass (8)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the frozen backbone (fp32)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a process (1)")
    parser.add_argument(
        "--handovers", type=int, default=2, help="runs of two stages to time their hand-over; 0: none (2)"
    )
    parser.add_argument(
        "--random-weights",
        type=int,
        nargs=2,
        metavar=("LAYERS", "WIDTH"),
        help="an encoder of this size with random weights in place of the small backbone",
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    if options.steps < 10:
        parser.error(f"--steps is {options.steps}; at least 10 are needed: 6 warm up, and 2 follow a checkpoint")
    if options.starts < 1:
        parser.error(f"--starts is {options.starts}; at least 1 is needed")
    if torch.cuda.is_available() and max(options.processes) > torch.cuda.device_count():
        parser.error(
            f"--processes is {max(options.processes)}; here are {torch.cuda.device_count()} GPUs, one for each"
        )
    return options


def _measure(zero_stage: int, processes: int, options: argparse.Namespace, folder: Path) -> dict[str, Turns]:
    referee = Referee()
    handles: dict[str, Handle] = {}
    try:
        for program, gradient_sum in _programs(zero_stage).items():
            experiment = _experiment(zero_stage, processes, gradient_sum, options)
            handles[program] = _start(program, experiment, referee.port, options, folder / program)
        return referee.play(handles, processes)
    except RuntimeError as error:
        log = "".join(path.read_text("utf-8")[-_LOG_TAIL:] for path in folder.glob("*/rank-*.log"))
        sys.exit(f"{log}\nZeRO {zero_stage}, {processes} processes: {error}")
    finally:
        for handle in handles.values():
            handle.stop()


def _programs(zero_stage: int) -> dict[str, str]:
    """How each sums gradients. Ours first, by default; and once more as DeepSpeed does, which is all ZeRO-3 can."""
    peers = {"HF Trainer": "deepspeed", "bare DeepSpeed": "deepspeed"}
    if zero_stage == 3:
        return {"ours": "deepspeed", **peers}
    return {"ours": "ordered", "ours, DeepSpeed sums": "deepspeed", **peers}


def _experiment(zero_stage: int, processes: int, gradient_sum: str, options: argparse.Namespace) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "benchmark",
            "model": {"adapter": {"kind": "lora"}},
            "training": {
                "zero_stage": zero_stage,
                "gradient_sum": gradient_sum,
                "batch_size": options.batch_size,
                "micro_batch_size": options.micro_batch_size,
                "precision": options.precision,
                "epochs": 1,
            },
            "launcher": {"processes": processes, "threads": options.threads},
        }
    )


def _start(program: str, experiment: Experiment, port: int, options: argparse.Namespace, folder: Path) -> Handle:
    folder.mkdir(parents=True)
    size = None if options.random_weights is None else dataclasses.asdict(Size(*options.random_weights))
    argv: Sequence[object] = (
        *(sys.executable, "-W", "ignore", "-m", "training_bench.rank", program, port, options.steps),
        *(experiment.model_dump_json(), json.dumps(size), folder),
    )
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    env = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(options.threads), **RETURN_AT_ONCE}
    return LocalLauncher().launch(Job(tuple(map(str, argv)), experiment.launcher.processes, folder, env))


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()

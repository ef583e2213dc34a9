"""What a training step costs: ours beside Hugging Face's Trainer and a bare DeepSpeed loop, in one run.

The same model (the small backbone with LoRA), samples, micro-batches and DeepSpeed settings; the programs take turns,
so that other load on the machine meets all of them. A figure is the median step of all rounds; a ratio is ours by
theirs, so below 1 is faster. Memory is the peak of the largest rank.

    python benchmarks/training.py --zero 0 2 --processes 1 2 --rounds 3 --json training.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from dist_mcl.config import Experiment
from stage_launchers import Job, LocalLauncher

PROGRAMS = ("ours", "HF Trainer", "bare DeepSpeed")
# Without these, freed buffers stay in glibc's heap and every setting seems to need the same.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
_Setting = tuple[int, int, str]  # ZeRO stage, processes, how gradients are summed


def main() -> None:
    """Measure every program in every setting, round after round, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zero", type=int, nargs="+", default=[0, 2, 3], help="ZeRO stages (0 2 3)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="numbers of processes (1 2)")
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps of a measurement (20)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all programs in turn (3)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    settings = list(_settings(options.zero, options.processes))
    measured: dict[tuple[_Setting, str], list[dict[str, Any]]] = defaultdict(list)
    turns = [turn for _ in range(options.rounds) for turn in product(settings, PROGRAMS)]
    for setting, program in track(turns, "measuring"):
        measured[setting, program] += _measure(setting, program, options.steps)
    rows = [_row(setting, program, measured) for setting, program in product(settings, PROGRAMS)]
    Console().print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def _settings(zero_stages: Sequence[int], processes: Sequence[int]) -> list[_Setting]:
    """Ours sums gradients in order, and once more as DeepSpeed does, which is all that ZeRO-3 can."""
    ways = {zero: ["deepspeed"] if zero == 3 else ["ordered", "deepspeed"] for zero in zero_stages}
    return [(zero, count, way) for zero in zero_stages for count in processes for way in ways[zero]]


def _measure(setting: _Setting, program: str, steps: int) -> list[dict[str, Any]]:
    zero, processes, way = setting
    training = {"zero_stage": zero, "gradient_sum": way, "epochs": 1, "batch_size": 32, "micro_batch_size": 8}
    experiment = Experiment.model_validate(
        {"name": "benchmark", "training": training, "launcher": {"processes": processes, "threads": 1}}
    )
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        argv = [sys.executable, "-m", "training_bench.rank", program, str(steps), experiment.model_dump_json(), folder]
        env = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1", **_MALLOC}
        job = Job(tuple(argv), processes=processes, log_dir=here, env=env)
        if LocalLauncher().launch(job).wait() != 0:
            sys.exit(f"{program} {setting}:\n{(here / 'rank-0.log').read_text()[-3000:]}")
        return [json.loads(path.read_text("utf-8")) for path in sorted(here.glob("rank-*.json"))]


def _row(setting: _Setting, program: str, measured: dict[tuple[_Setting, str], list[dict[str, Any]]]) -> dict[str, Any]:
    zero, processes, way = setting
    ranks = measured[setting, program]
    step = _median_step(ranks)
    return {
        "zero": zero,
        "processes": processes,
        "ours sums gradients": way,
        "program": program,
        "step_ms": 1000 * step,
        "tokens_per_second": ranks[0]["tokens_per_step"] / step,
        "peak_mib": max(rank["bytes"] for rank in ranks) / 2**20,
        "ours_by_this": _median_step(measured[setting, "ours"]) / step,
    }


def _median_step(ranks: list[dict[str, Any]]) -> float:
    return statistics.median(seconds for rank in ranks for seconds in rank["seconds"])


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("ZeRO", "processes", "ours sums", "program", "step", "tokens/s", "peak of a rank", "ours / this")
    for row in rows:
        table.add_row(
            str(row["zero"]),
            str(row["processes"]),
            row["ours sums gradients"],
            row["program"],
            f"{row['step_ms']:.0f} ms",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['peak_mib']:,.0f} MiB",
            f"{row['ours_by_this']:.2f}",
        )
    return table


if __name__ == "__main__":
    main()

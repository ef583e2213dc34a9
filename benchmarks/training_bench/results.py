"""What the programs reported, as numbers: one row for each program in each setting."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from training_bench.diary import WARM_UP
from training_bench.memory import Sizes
from training_bench.turns import Report

Turns = list[list[Report]]


def rows_of(zero_stage: int, processes: int, starts: Sequence[dict[str, Turns]]) -> list[dict[str, Any]]:
    """The rows of one setting; the first program is ours, which the others are compared with.

    A step lasts as long as its slowest rank; its processor time is that of all ranks, and says more where other load
    takes the processors away. A ratio is the median over the rounds of all starts of ours by this program in that
    round; all else is of the last start.
    """
    turns = starts[-1]
    steps = {program: [step for start in starts for step in _timed_steps(start[program])] for program in turns}
    first = next(iter(turns))
    return [
        {
            "zero_stage": zero_stage,
            "processes": processes,
            "program": program,
            **_speed(steps[program], steps[first], its[-1][0]["tokens"]),
            **_memory(its, zero_stage, processes),
            **_checkpoint(its),
            "losses": _losses(its),
            "loss_differs": _loss_difference(its, turns[first]),
        }
        for program, its in turns.items()
    ]


def _speed(steps: Turns, our_steps: Turns, tokens: float) -> dict[str, float | list[float]]:
    seconds = [_slowest(turn) for turn in steps]
    ratios = [_slowest(mine) / _slowest(its) for mine, its in zip(our_steps, steps, strict=True)]
    cpu_ratios = [_cpu_seconds(mine) / _cpu_seconds(its) for mine, its in zip(our_steps, steps, strict=True)]
    median = statistics.median(seconds)
    return {
        "step_seconds": median,
        "step_seconds_quartiles": quartiles(seconds),
        "step_cpu_seconds": statistics.median(map(_cpu_seconds, steps)),
        "tokens_per_second": tokens / median,
        "ours_by_this": statistics.median(ratios),
        "ours_by_this_quartiles": quartiles(ratios),
        "ours_by_this_cpu": statistics.median(cpu_ratios),
        "ours_by_this_cpu_quartiles": quartiles(cpu_ratios),
    }


def _memory(turns: Turns, zero_stage: int, processes: int) -> dict[str, float]:
    last = turns[-1]
    sizes = Sizes(**last[0]["sizes"])
    share = sizes.frozen_bytes / (processes if zero_stage == 3 else 1)
    found = {f"bytes_{name.replace(' ', '_')}": max(rank["bytes"][name] for rank in last) for name in last[0]["bytes"]}
    return {
        **found,
        "formula_bytes_frozen": share,
        "formula_bytes_between_steps": sizes.per_rank(zero_stage, processes),
        "trainable_parameters": sizes.trainable,
    }


def _checkpoint(turns: Turns) -> dict[str, float]:
    save = next(turn for turn in turns if turn[0]["kind"] == "save")
    resumed = 1 + next(number for number, turn in enumerate(turns) if turn[0]["kind"] == "end")
    return {
        "save_seconds": max(rank["save_seconds"] for rank in save),
        "checkpoint_bytes": max(rank["checkpoint_bytes"] for rank in save),
        "resume_seconds": _slowest(turns[resumed]),
    }


def _timed_steps(turns: Turns) -> Turns:
    """The steps of the first training, without those that warm up and the last, which follow a checkpoint."""
    before = next(number for number, turn in enumerate(turns) if turn[0]["kind"] == "save")
    return turns[WARM_UP:before]


def _slowest(turn: Sequence[Report]) -> float:
    return max(rank["seconds"] for rank in turn)


def _cpu_seconds(turn: Sequence[Report]) -> float:
    return sum(rank["cpu_seconds"] for rank in turn)


def _loss_difference(turns: Turns, ours: Turns) -> float:
    """The largest relative difference of a step's loss, the steps after the resumption included."""
    pairs = zip(_losses(turns), _losses(ours), strict=True)
    return max(abs(its / mine - 1) for its, mine in pairs)


def _losses(turns: Turns) -> list[float]:
    return [statistics.fmean(rank["loss"] for rank in turn) for turn in turns if turn[0]["kind"] == "step"]


def quartiles(values: Sequence[float]) -> list[float]:
    """The first and the third."""
    if len(values) < 2:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]

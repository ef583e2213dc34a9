"""Any number of processes trains the same weights, whatever DeepSpeed shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from .small_runs import finish

Result = tuple[list[float], dict[str, str]]


@pytest.mark.parametrize(
    ("processes", "zero_stage"),
    [(2, 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((3, 2), (4, 1), (2, 0)))],
)
def test_the_same_bytes(alone: Result, tmp_path: Path, processes: int, zero_stage: int) -> None:
    assert finish(tmp_path / "run", processes, zero_stage=zero_stage) == alone


def test_deepspeeds_own_sum_agrees_but_for_rounding(alone: Result, tmp_path: Path) -> None:
    losses, _ = finish(tmp_path / "run", 2, gradient_sum="deepspeed")
    assert losses == pytest.approx(alone[0], rel=1e-4)

"""When a stage saves what it has trained so far."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dist_mcl.config import Checkpointing
from dist_mcl.training import checkpoint
from dist_mcl.training.checkpoint import Checkpoints
from dist_mcl.training.process_group import ProcessGroup


class Lonely(ProcessGroup):
    """A rank that has nobody to wait for."""

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def broadcast(self, value: Any) -> Any:
        return value


def test_after_so_many_steps_or_seconds_whichever_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(checkpoint, "time", clock)
    engine: Any = SimpleNamespace(state=lambda: {"parameter.weight": torch.ones(2)})
    rules = Checkpointing(every_steps=3, every_seconds=60)

    def of_rank(rank: int) -> Checkpoints:
        return Checkpoints(tmp_path, rules, None, Lonely(rank, 2, torch.device("cpu")), check_current=lambda: None)

    first, second = of_rank(0), of_rank(1)
    assert [first.is_due(step) for step in (1, 2, 3)] == [False, False, True]
    clock.now += 59
    assert not first.is_due(2)
    clock.now += 1
    assert first.is_due(2) and not second.is_due(2)  # the clock of rank 0 decides
    first.save(2, [0.5, 0.4], engine)
    clock.now += 59
    assert [first.is_due(step) for step in (3, 4, 5)] == [False, False, True]
    clock.now += 1
    assert first.is_due(3)
    saved = first.newest()
    assert saved is not None and (saved.step, saved.losses) == (2, [0.5, 0.4])

"""Start the ranks of `small_stage` in real processes, and look at what they leave."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stage_launchers.kinds.local import LocalHandle

from .forking import ForkedRanks

# 5 steps per epoch of 4 micro-batches each; clipping is at work in all of them.
TRAINING = {"epochs": 2, "batch_size": 8, "micro_batch_size": 2, "learning_rate": 0.05, "gradient_clipping": 0.3}
EVERY_STEP = {"every_steps": 1}


def start(
    folder: Path,
    processes: int,
    largest_file: int | None = None,
    before: Path | None = None,
    sampler: str = "balanced",
    **training: object,
) -> LocalHandle:
    """Begin, or continue, to train in a folder, where writing fails beyond so many bytes of a file.

    With the folder of a training `before` that has ended, go on with its adapter.
    """
    folder.mkdir(exist_ok=True)
    experiment = {
        "name": "test",
        "model": {"backbone": "tiny"},
        "exemplars": {"replay_sampler": sampler},
        "training": {**TRAINING, **training},
        "launcher": {"processes": processes},
    }
    adapter = None if before is None else before / "adapter"
    return ForkedRanks(folder, processes, _run_rank, folder, json.dumps(experiment), adapter, largest_file)


def _run_rank(*arguments: Any) -> None:
    from . import small_stage  # which the server has imported, and whoever looks on need not

    small_stage.run_rank(*arguments)


def finish(
    folder: Path, processes: int, before: Path | None = None, sampler: str = "balanced", **training: object
) -> tuple[list[float], dict[str, str]]:
    """Train to the end; returns losses, which must be equal on all ranks, and digests of the adapter's files."""
    code = start(folder, processes, before=before, sampler=sampler, **training).wait(timeout=400)
    assert code == 0, (folder / "rank-0.log").read_text()
    return result(folder, processes)


def result(folder: Path, processes: int) -> tuple[list[float], dict[str, str]]:
    """What `finish` returned of a training that has ended."""
    losses = [json.loads((folder / f"losses-{rank}.json").read_text()) for rank in range(processes)]
    assert all(its == losses[0] for its in losses)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "adapter").iterdir()}
    return losses[0], digests


def wait_until(is_so: Callable[[], bool], handle: LocalHandle, seconds: float = 300) -> None:
    """Wait for something to become true while the processes run."""
    end = time.monotonic() + seconds
    while not is_so():
        assert handle.poll() is None, "the processes ended before that"
        assert time.monotonic() < end
        time.sleep(0.002)


def committed(folder: Path) -> list[int]:
    """Steps that have a committed checkpoint."""
    return sorted(int(path.parent.name) for path in folder.glob("checkpoint/*/COMMIT.json"))


def pid(folder: Path, rank: int) -> int:
    """Process of a rank that has begun."""
    return int((folder / f"pid-{rank}").read_text())

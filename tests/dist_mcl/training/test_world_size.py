"""Any number of processes trains the same weights, whatever DeepSpeed shards."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from stage_launchers import Job, LocalLauncher

PROGRAM = Path(__file__).with_name("small_stage.py")
TRAINING = {"epochs": 2, "batch_size": 8, "micro_batch_size": 2, "learning_rate": 0.05, "gradient_clipping": 0.3}


def trained(folder: Path, processes: int, **training: object) -> tuple[list[float], dict[str, str]]:
    """Losses, which must be equal on all ranks, and digests of the files of the adapter."""
    folder.mkdir()
    experiment = {"name": "test", "training": {**TRAINING, **training}, "launcher": {"processes": processes}}
    argv = (sys.executable, str(PROGRAM), str(folder), json.dumps(experiment))
    code = LocalLauncher().launch(Job(argv, processes, folder, {"OMP_NUM_THREADS": "1"})).wait(timeout=300)
    assert code == 0, (folder / "rank-0.log").read_text()
    losses = [json.loads((folder / f"losses-{rank}.json").read_text()) for rank in range(processes)]
    assert all(its == losses[0] for its in losses)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "adapter").iterdir()}
    return losses[0], digests


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, str]]:
    return trained(tmp_path_factory.mktemp("alone") / "run", 1)


@pytest.mark.parametrize(("processes", "zero_stage"), [(2, 2), (3, 2), (4, 1), (2, 0)])
def test_the_same_bytes(
    alone: tuple[list[float], dict[str, str]], tmp_path: Path, processes: int, zero_stage: int
) -> None:
    assert trained(tmp_path / "run", processes, zero_stage=zero_stage) == alone


def test_deepspeeds_own_sum_agrees_but_for_rounding(alone: tuple[list[float], dict[str, str]], tmp_path: Path) -> None:
    losses, _ = trained(tmp_path / "run", 2, gradient_sum="deepspeed")
    assert losses == pytest.approx(alone[0], rel=1e-4)

"""The shared table of launchers: one row is all that the tests in test_kinds.py need to know about one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class Row:
    """One launcher under test.

    Attributes:
        name: of the test.
        kind: of the launcher.
        options: of the launcher.
        needs: programs without which it cannot run here.
        nodes: nodes to ask for.
        processes: processes on each node.
        ends_peers: whether it ends all ranks when one fails; else they run on until they miss it.
        prefix: command of the test cluster under which the coordinator runs; none outside the cluster.
        marks: of its tests.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    nodes: int = 1
    processes: int = 2
    ends_peers: bool = True
    prefix: tuple[str, ...] = ()
    marks: tuple[pytest.MarkDecorator, ...] = ()


SLURM = (pytest.mark.slow, pytest.mark.xdist_group("slurm"))
ROWS = (
    Row("local", "local"),
    Row("deepspeed", "deepspeed", marks=(pytest.mark.slow,)),
    Row("open-mpi", "mpi", {"mpirun": "mpirun.openmpi"}, needs=("mpirun.openmpi",), marks=(pytest.mark.slow,)),
    Row(
        "mpich",
        "mpi",
        {"mpirun": "mpirun.mpich"},
        needs=("mpirun.mpich",),
        ends_peers=False,
        marks=(pytest.mark.slow,),
    ),
    Row(
        "slurm",
        "slurm",
        nodes=2,
        processes=1,
        prefix=("salloc", "--quiet", "--nodes=2", "--ntasks-per-node=1"),
        marks=SLURM,
    ),
)


def require(*programs: str) -> None:
    """Skip, or fail where continuous integration promises that all of them are installed."""
    missing = [program for program in programs if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{', '.join(missing)} not installed")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")

"""Ranks for tests, forked from a server that has imported what they need.

The imports take longer than most of these trainings. How users' processes are started is for tests/dist_mcl/runs.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from unittest import mock

from stage_launchers.environment import LAUNCHER_PID
from stage_launchers.kinds.local import LocalHandle
from stage_launchers.rendezvous import free_port


@functools.cache
def fork_server() -> ForkServerContext:
    """What `torch.multiprocessing` knows as the start method "forkserver", with the imports done."""
    context = multiprocessing.get_context("forkserver")
    stages = [f"tests.dist_mcl.training.{name}" for name in ("small_stage", "modality_stages")]
    context.set_forkserver_preload(["pytest", *stages])
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        forkserver.ensure_running()
    return context


class ForkedRank:
    """A process, with as much of `subprocess.Popen` as `LocalHandle` asks for."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()


class ForkedRanks(LocalHandle):
    """Ranks that call `target`, in an environment like that which `LocalLauncher` gives them, and with its logs."""

    def __init__(self, folder: Path, processes: int, target: Callable[..., None], *arguments: object) -> None:
        super().__init__()
        env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
        for rank in range(processes):
            place = {**env, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = fork_server().Process(target=_be_rank, args=(folder, place, target, arguments))
            process.start()
            self._processes.append(ForkedRank(process))


def _be_rank(folder: Path, place: dict[str, str], target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    gc.freeze()  # what was imported stays; not to be looked through, nor copied for that, in every rank
    os.setpgid(0, 0)
    os.environ.update({**place, "LOCAL_WORLD_SIZE": place["WORLD_SIZE"], LAUNCHER_PID: str(os.getppid())})
    with (folder / f"rank-{place['RANK']}.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    target(*arguments)

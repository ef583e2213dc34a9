"""The `deepspeed` launcher: this machine, or the hosts of a host file."""

from __future__ import annotations

import importlib.util
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stage_launchers.environment import job_environment
from stage_launchers.job import Capabilities, Handle, Job, LauncherError
from stage_launchers.rendezvous import free_port
from stage_launchers.supervised import SupervisedHandle, rank_argv


@dataclass(frozen=True)
class DeepspeedLauncher:
    """Starts processes through `deepspeed`, whose options these are.

    Attributes:
        hostfile: lines of `HOST slots=N`; without it, this machine alone.
        include: hosts and slots to use, as `HOST:0,1@HOST2`.
        exclude: hosts and slots to leave out.
        no_ssh: start the processes of this node only, the same command being given on every other node.
        node_rank: which node this is, with `no_ssh`.
        master_addr: name or address of the first node.
        master_port: port on the first node; on one machine a free one is taken.
        arguments: further arguments of `deepspeed`, as they are.
    """

    hostfile: Path | None = None
    include: str = ""
    exclude: str = ""
    no_ssh: bool = False
    node_rank: int | None = None
    master_addr: str = ""
    master_port: int | None = None
    arguments: tuple[str, ...] = ()

    capabilities: ClassVar[Capabilities] = Capabilities(
        stop_signal=signal.SIGTERM,
        stop_target="ranks",
        forwards_term=False,
        forwards_usr1=False,
        grace=0,
        keeps_exit_codes=True,
        sets_rank_env=True,
    )

    def launch(self, job: Job) -> Handle:
        """See `Launcher.launch`."""
        if importlib.util.find_spec("deepspeed") is None:
            raise LauncherError("launcher deepspeed: the package deepspeed is not installed")
        self._check(job)
        argv = [sys.executable, "-m", "deepspeed.launcher.runner", *self._options(job)]
        argv += ["--no_python", "--no_local_rank", *self.arguments, *rank_argv(job)]
        return SupervisedHandle(job, argv, job_environment(job), self.capabilities)

    def _check(self, job: Job) -> None:
        if self.include and self.exclude:
            raise LauncherError("launcher deepspeed: give include or exclude, not both")
        if self.hostfile is not None and not self.hostfile.is_file():
            raise LauncherError(f"launcher deepspeed: hostfile {self.hostfile} does not exist")
        if self.hostfile is None and job.nodes > 1:
            raise LauncherError(f"launcher deepspeed: {job.nodes} nodes asked for; name them in a hostfile")
        if self.no_ssh and (self.node_rank is None or not self.master_addr or self.master_port is None):
            raise LauncherError("launcher deepspeed: no_ssh needs node_rank, master_addr and master_port")

    def _options(self, job: Job) -> list[str]:
        options = []
        if self.hostfile is not None:
            options += ["--hostfile", str(self.hostfile)]
        else:
            options += ["--hostfile", ""]  # else /job/hostfile is read where there is one
        if self.include or self.exclude:  # they say how many processes; deepspeed refuses to be told twice
            options += ["--include", self.include] if self.include else ["--exclude", self.exclude]
        else:
            options += ["--num_nodes", str(job.nodes), "--num_accelerators", str(job.processes)]
        if self.no_ssh:
            options += ["--no_ssh", "--node_rank", str(self.node_rank)]
        if self.master_addr:
            options += ["--master_addr", self.master_addr]
        port = self.master_port if self.master_port is not None else free_port()
        return [*options, "--master_port", str(port)]


LAUNCHER = DeepspeedLauncher

"""`mpirun` of Open MPI, MPICH or another MPI with MPICH's process manager."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stage_launchers.environment import job_environment
from stage_launchers.job import Capabilities, Handle, Job, LauncherError
from stage_launchers.supervised import SupervisedHandle, rank_argv

# What Open MPI takes to other nodes besides the variables of the job. MPICH takes everything.
_PASSED_ON = ("STAGE_LAUNCHER_", "PATH", "PYTHON", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "OMP_", "NCCL_", "GLOO_", "HF_")


@dataclass(frozen=True)
class MpiLauncher:
    """Starts processes through `mpirun`; ranks learn their place from MPI.

    Attributes:
        mpirun: the program, by name or path, such as mpirun.mpich. Open MPI's must belong to the MPI that mpi4py loads.
        hostfile: the hosts, in the form of that MPI; without it, this machine, or the allocation of a scheduler.
        arguments: further arguments of `mpirun`, as they are.
    """

    mpirun: str = "mpirun"
    hostfile: Path | None = None
    arguments: tuple[str, ...] = ()

    # SIGUSR1 since Open MPI passes SIGTERM on and kills a second later. It keeps exit codes; MPICH at
    # times ends with 0 after a signal at which all ranks ended with 85.
    capabilities: ClassVar[Capabilities] = Capabilities(
        stop_signal=signal.SIGUSR1,
        stop_target="launcher",
        forwards_term=True,
        forwards_usr1=True,
        grace=1,
        keeps_exit_codes=False,
        sets_rank_env=False,
    )

    def launch(self, job: Job) -> Handle:
        """See `Launcher.launch`."""
        mpirun = shutil.which(self.mpirun)
        if mpirun is None:
            raise LauncherError(f"launcher mpi: {self.mpirun} is not found; install Open MPI or MPICH, or set its path")
        env = job_environment(job)
        options = _open_mpi_options(self, job, env) if is_open_mpi(mpirun) else _mpich_options(self, job)
        argv = [mpirun, "-n", str(job.world_size), *options, *self.arguments, *rank_argv(job)]
        return SupervisedHandle(job, argv, env, self.capabilities)


def is_open_mpi(mpirun: str) -> bool:
    """Whether it is Open MPI's; otherwise it is MPICH's process manager, Hydra.

    Raises:
        LauncherError: it is neither.
    """
    answer = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    if any(name in answer for name in ("Open MPI", "Open-MPI", "OpenRTE", "PRRTE")):
        return True
    if "HYDRA" in answer or "Intel(R) MPI" in answer:
        return False
    first = (answer.strip().splitlines() or ["nothing"])[0]
    raise LauncherError(f"launcher mpi: {mpirun} --version says {first!r}, which is neither Open MPI nor MPICH")


def _open_mpi_options(launcher: MpiLauncher, job: Job, env: Mapping[str, str]) -> list[str]:
    options = ["--map-by", f"ppr:{job.processes}:node", "--oversubscribe", "--bind-to", "none"]
    if launcher.hostfile is not None:
        options += ["--hostfile", str(launcher.hostfile)]
    if os.geteuid() == 0:
        options.append("--allow-run-as-root")
    passed_on = [name for name in env if name in job.env or name.startswith(_PASSED_ON)]
    return [*options, *(word for name in sorted(passed_on) for word in ("-x", name))]


def _mpich_options(launcher: MpiLauncher, job: Job) -> list[str]:
    options = ["-ppn", str(job.processes)]
    if launcher.hostfile is not None:
        options += ["-f", str(launcher.hostfile)]
    return options


LAUNCHER = MpiLauncher

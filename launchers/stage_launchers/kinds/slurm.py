"""`srun`, inside an allocation of Slurm."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from dataclasses import dataclass, field
from typing import ClassVar

from stage_launchers.environment import job_environment
from stage_launchers.job import Capabilities, Handle, Job, LauncherError
from stage_launchers.supervised import SupervisedHandle

SRUN_OPTIONS = "STAGE_LAUNCHER_SRUN"
CONTAINER = "STAGE_LAUNCHER_CONTAINER"
# While nodes are busy srun asks again, for as long as the job lasts. After a lost node they can stay so, since Slurm
# takes an earlier start of the job for running there still. Then it is better to go back into the queue.
_SECONDS_TO_BEGIN = 600


def _words(variable: str) -> tuple[str, ...]:
    return tuple(shlex.split(os.environ.get(variable, "")))


@dataclass(frozen=True)
class SlurmLauncher:
    """Starts processes through `srun`; ranks learn their place from the step's variables.

    Attributes:
        arguments: further options of srun; those of the cluster profile when not given.
        container: words before the program; those of the cluster profile when not given.
    """

    arguments: tuple[str, ...] = field(default_factory=lambda: _words(SRUN_OPTIONS))
    container: tuple[str, ...] = field(default_factory=lambda: _words(CONTAINER))

    # SIGUSR1 as before the time limit; a SIGTERM makes srun kill the step at once. The exit code is the highest of all
    # ranks, so that of a peer that srun killed hides that of the rank which failed.
    capabilities: ClassVar[Capabilities] = Capabilities(
        stop_signal=signal.SIGUSR1,
        stop_target="launcher",
        forwards_term=False,
        forwards_usr1=True,
        grace=0,
        keeps_exit_codes=False,
        sets_rank_env=False,
    )

    def launch(self, job: Job) -> Handle:
        """See `Launcher.launch`."""
        if shutil.which("srun") is None:
            raise LauncherError("launcher slurm: srun is not found; Slurm is not installed here")
        if "SLURM_JOB_ID" not in os.environ:
            raise LauncherError("launcher slurm: not inside an allocation; submit the run, or start it under salloc")
        log = str(job.log_dir.resolve()).replace("%", "%%")
        argv = ["srun", f"--nodes={job.nodes}", f"--ntasks={job.world_size}", f"--ntasks-per-node={job.processes}"]
        argv += ["--kill-on-bad-exit=1", f"--job-name={job.name}", f"--output={log}/rank-%t.log", "--open-mode=append"]
        argv.append(f"--immediate={_SECONDS_TO_BEGIN}")
        if cores := os.environ.get("SLURM_CPUS_PER_TASK"):  # of the job; since 22.05 its steps do not inherit it
            argv.append(f"--cpus-per-task={cores}")
        argv += [*self.arguments, *self.container, *job.argv]
        return SupervisedHandle(job, argv, job_environment(job), self.capabilities)


LAUNCHER = SlurmLauncher

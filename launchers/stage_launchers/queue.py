"""Slurm's queue: submit, ask, put back, cancel. Accounting (`sacct`) is never needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stage_launchers.job import LauncherError

_SQUEUE_FORMAT = "%i|%T|%r|%N|%S|%L"


@dataclass(frozen=True)
class QueuedJob:
    """What Slurm says about a job; evidence, never proof that a stage is done.

    Attributes:
        job: its id.
        state: as Slurm writes it: PENDING, RUNNING, COMPLETED, FAILED, TIMEOUT, PREEMPTED, NODE_FAIL, CANCELLED, ...
        reason: why it waits or how it ended, "None" for no reason.
        nodes: where it runs, in Slurm's compact form.
        start: when it began, or is expected to; "N/A" when nobody knows.
        time_left: until the time limit, as Slurm writes it.
    """

    job: int
    state: str
    reason: str
    nodes: str
    start: str
    time_left: str

    @property
    def is_over(self) -> bool:
        """No further change will come; false in between two runs of a job that goes back into the queue."""
        return self.state in {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"}


def submit(script: Path, after: Sequence[int] = (), hold: bool = False) -> int:
    """Queue a batch script, to start when all jobs `after` have ended well; gives the job's id.

    A job that cannot start any more, since one of them failed, is removed from the queue. `hold` keeps the job from
    starting until `release`.

    Raises:
        LauncherError: Slurm is missing or refuses the script; the message is Slurm's.
    """
    options = ["--parsable", "--requeue"]
    if after:
        options += [f"--dependency=afterok:{':'.join(map(str, after))}", "--kill-on-invalid-dep=yes"]
    if hold:
        options.append("--hold")
    return int(slurm("sbatch", *options, str(script)).split(";")[0])


def submit_chain(scripts: Sequence[Path], after: Sequence[int] = ()) -> list[int]:
    """Queue batch scripts, each to start when the one before has ended well. All of them, or none.

    Raises:
        LauncherError: Slurm refuses one of them.
    """
    jobs: list[int] = []
    try:
        for script in scripts:
            jobs.append(submit(script, after=jobs[-1:] or after, hold=not jobs))
    except LauncherError:
        cancel(jobs)
        raise
    release(jobs[:1])
    return jobs


def release(jobs: Iterable[int]) -> None:
    """Let jobs start that were submitted with `hold`."""
    if ids := _list(jobs):
        slurm("scontrol", "release", ids)


def query(jobs: Iterable[int]) -> dict[int, QueuedJob]:
    """What Slurm says about these jobs; one that it has forgotten, minutes after its end, is left out.

    Raises:
        LauncherError: Slurm is missing or does not answer.
    """
    wanted = set(jobs)
    if not wanted:
        return {}
    lines = slurm("squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--format={_SQUEUE_FORMAT}")
    found = {}
    for line in lines.splitlines():
        number, *rest = line.split("|")
        if number.isdigit() and int(number) in wanted:
            found[int(number)] = QueuedJob(int(number), *rest)
    for job in wanted - found.keys():
        if (shown := _show(job)) is not None:
            found[job] = shown
    return found


def _show(job: int) -> QueuedJob | None:
    """`scontrol show job`, which knows jobs of other users as well, and a little longer."""
    try:
        text = slurm("scontrol", "show", "job", "--oneliner", str(job))
    except LauncherError as error:
        if "Invalid job id" in str(error):
            return None
        raise
    values = dict(re.findall(r"(\w+)=(\S*)", text))
    return QueuedJob(job, values["JobState"], values["Reason"], values.get("NodeList", ""), values["StartTime"], "N/A")


def requeue(job: int) -> None:
    """End a running job and put it back into the queue, with its id; jobs after it go on waiting."""
    slurm("scontrol", "requeue", str(job))


def cancel(jobs: Iterable[int]) -> None:
    """Remove jobs from the queue, ending those that run: SIGTERM, and SIGKILL after the cluster's KillWait."""
    if ids := _list(jobs):
        slurm("scancel", *ids.split(","))


def ask_to_stop(job: int) -> None:
    """SIGUSR1 for every process of a running job, as before the time limit."""
    slurm("scancel", "--signal=USR1", str(job))


def _list(jobs: Iterable[int]) -> str:
    return ",".join(map(str, jobs))


def slurm(program: str, *arguments: str) -> str:
    """The output of one of Slurm's commands, without the last line end.

    Raises:
        LauncherError: it is missing, or refuses; the message is Slurm's.
    """
    if shutil.which(program) is None:
        raise LauncherError(f"{program} is not found: Slurm is not installed here, or not on the PATH")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LauncherError(f"{program}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout.strip()

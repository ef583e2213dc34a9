"""Slurm: its commands, whether it answers, and what its partitions do with jobs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from dist_mcl.config import Launcher
from dist_mcl.doctor.finding import Finding, absent
from dist_mcl.units import duration
from stage_launchers import LauncherError
from stage_launchers.partition import Partition, partitions, warnings
from stage_launchers.profile import Profile

_COMMANDS = ("sbatch", "squeue", "scontrol", "scancel", "srun")


def slurm(launcher: Launcher) -> Iterator[Finding]:
    """Needed where `launcher.kind` is slurm, else by `mcl submit` alone."""
    is_needed = launcher.kind == "slurm"
    lost = [name for name in _COMMANDS if shutil.which(name) is None]
    if lost:
        says = "is not installed here" if len(lost) == len(_COMMANDS) else f"{', '.join(lost)} not found"
        yield absent("slurm", is_needed, f"{says}; only `mcl submit` needs it", "install Slurm's client for it")
        return
    try:
        known = partitions()
    except LauncherError as error:
        yield absent("slurm", is_needed, f"does not answer: {error}", _munge())
        return
    yield Finding("slurm", "fine", f"answers, and has {len(known)} partitions")
    for partition in known:
        yield _about(partition, known)


def _about(partition: Partition, known: list[Partition]) -> Finding:
    limit = "no time limit" if partition.max_time is None else f"at most {duration(partition.max_time)}"
    default = ", the default" if partition.is_default else ""
    facts = f"partition {partition.name}{default}: {partition.max_nodes} nodes for a job, {limit}"
    # None of these warnings is about the time of a job, which the profile says.
    if warned := warnings(Profile(partition=partition.name), known):
        return Finding("slurm", "note", f"{facts}; {'; '.join(warned)}")
    return Finding("slurm", "fine", facts)


def _munge() -> str:
    if shutil.which("munge") is None:
        return "see that slurmctld runs; if this cluster uses munge, that is missing, too"
    done = subprocess.run(["munge", "--no-input"], capture_output=True, text=True, check=False)
    return "see that slurmctld runs" if done.returncode == 0 else f"start munged: {' '.join(done.stderr.split())}"

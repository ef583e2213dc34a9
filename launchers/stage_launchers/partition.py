"""What a partition of the cluster does with the jobs of a profile, asked before anything is submitted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stage_launchers.profile import Profile
from stage_launchers.queue import slurm

_EARLY_SECONDS = 60  # by which Slurm may send --signal too early
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


@dataclass(frozen=True)
class Partition:
    """A partition, as `scontrol show partition` describes it.

    Attributes:
        is_default: where jobs go that name none.
        state: UP, or DOWN, DRAIN, INACTIVE: jobs wait.
        max_time: seconds, None without a limit.
        max_nodes: of one job.
        preempt_mode: what happens to a job that gives way: OFF, REQUEUE, CANCEL, SUSPEND, or several with a comma.
        grace_seconds: between the SIGTERM to such a job and its end.
    """

    name: str
    is_default: bool
    state: str
    max_time: int | None
    max_nodes: int
    preempt_mode: str
    grace_seconds: int


def partitions() -> list[Partition]:
    """All partitions of the cluster.

    Raises:
        LauncherError: Slurm is missing or does not answer.
    """
    return read_partitions(slurm("scontrol", "show", "partition", "--all", "--oneliner"))


def read_partitions(text: str) -> list[Partition]:
    """The partitions in the output of `scontrol show partition --oneliner`."""
    return [_partition(dict(re.findall(r"(\w+)=(\S*)", line))) for line in text.splitlines() if line.strip()]


def seconds(time: str) -> int | None:
    """A time as Slurm writes it: MINUTES, M:S, H:M:S, D-H, D-H:M or D-H:M:S; None for UNLIMITED and NONE."""
    match = _TIME.fullmatch(time)
    if match is None:
        return None
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    units = [60] if days is None and len(numbers) == 1 else [3600, 60, 1][-3 if days else -len(numbers) :]
    return int(days or 0) * 86400 + sum(number * unit for number, unit in zip(numbers, units, strict=False))


def refusal(profile: Profile, known: Iterable[Partition]) -> str | None:
    """Why a job of this profile would wait for ever, in one line that names the field; None if it would not.

    Slurm takes such a job, unless EnforcePartLimits is set.
    """
    limit = None if profile.time is None else seconds(profile.time)
    for partition in _of(profile, known):
        if limit is not None and partition.max_time is not None and limit > partition.max_time:
            return f"time: {profile.time} is more than the {partition.max_time // 60} min of partition {partition.name}"
        if profile.nodes > partition.max_nodes:
            return f"nodes: {profile.nodes} are more than the {partition.max_nodes} of partition {partition.name}"
    return None


def warnings(profile: Profile, known: Iterable[Partition]) -> list[str]:
    """What a job of this profile should be prepared for, a line each."""
    lines = []
    limit = None if profile.time is None else seconds(profile.time)
    if limit is not None and limit <= profile.signal_seconds + _EARLY_SECONDS:
        lines.append(
            f"signal_seconds: {profile.signal_seconds} s before the end, or up to {_EARLY_SECONDS} s earlier, leave "
            f"nothing of the time of {limit // 60} min"
        )
    for partition in _of(profile, known):
        lines += _about(partition)
    return lines


def _about(partition: Partition) -> list[str]:
    lines = []
    if partition.state != "UP":
        lines.append(f"partition {partition.name} is {partition.state}: its jobs wait until it is up")
    modes = partition.preempt_mode.split(",")
    if "CANCEL" in modes:
        lines.append(f"partition {partition.name} cancels a job that gives way, and with it the stages after it")
    if "REQUEUE" in modes and not partition.grace_seconds:
        lines.append(
            f"partition {partition.name} has no grace time: a stage that gives way goes on from its last checkpoint, "
            "see training.checkpoint"
        )
    return lines


def _of(profile: Profile, known: Iterable[Partition]) -> list[Partition]:
    """The partition of a profile. None where Slurm may choose among several, or sbatch is going to refuse the name."""
    wanted = profile.partition
    return [one for one in known if (one.is_default if wanted is None else one.name == wanted)]


def _partition(values: dict[str, str]) -> Partition:
    most = values["MaxNodes"]
    total = int(values["TotalNodes"])
    return Partition(
        name=values["PartitionName"],
        is_default=values["Default"] == "YES",
        state=values["State"],
        max_time=seconds(values["MaxTime"]),
        max_nodes=total if most == "UNLIMITED" else min(int(most), total),
        preempt_mode=values["PreemptMode"],
        grace_seconds=int(values["GraceTime"]),
    )

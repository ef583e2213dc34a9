"""A cluster profile: what a site's Slurm wants to be told, in a YAML file of the user's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from stage_launchers.job import LauncherError

_TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}")  # sbatch --time


def _time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("not a time limit; write MINUTES, HH:MM:SS or DAYS-HH:MM:SS, in quotes")
    return text


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one line")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
Time = Annotated[str, AfterValidator(_time)]


class Profile(BaseModel):
    """One stage's request to Slurm.

    Attributes:
        partition, account, qos, reservation, constraint, gres, mem: as the options of sbatch with these names.
        nodes: how many nodes.
        gpus_per_node: GPUs asked for on each node; 0 asks for none.
        tasks_per_node: processes on each node; one for each GPU, or one, when not given.
        cpus_per_task: cores for each process.
        time: time limit.
        signal_seconds: how long before the time limit the processes are told to save; longer than the longest step
            and a checkpoint together. Slurm may tell them up to a minute earlier.
        max_requeues: how often a job may go back into the queue.
        modules: environment modules to load.
        setup: lines of the batch script before the stage starts, such as `source .venv/bin/activate`.
        container: words before the program of every process, such as `apptainer exec --nv image.sif`.
        srun: further options of srun, such as `--container-image=...`.
        sbatch: further options of sbatch.
        stages: for a stage by its number, what is different for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: Line | None = None
    account: Line | None = None
    qos: Line | None = None
    reservation: Line | None = None
    constraint: Line | None = None
    gres: Line | None = None
    mem: Line | None = None
    nodes: PositiveInt = 1
    gpus_per_node: int = Field(default=0, ge=0)
    tasks_per_node: PositiveInt | None = None
    cpus_per_task: PositiveInt | None = None
    time: Time | None = None
    signal_seconds: int = Field(default=300, ge=10, le=65535)
    max_requeues: int = Field(default=50, ge=0)
    modules: tuple[Line, ...] = ()
    setup: tuple[Line, ...] = ()
    container: tuple[Line, ...] = ()
    srun: tuple[Line, ...] = ()
    sbatch: tuple[Line, ...] = ()
    stages: dict[int, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("stages")
    @classmethod
    def _know_their_fields(cls, stages: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        for number, changes in stages.items():
            if "stages" in changes:
                raise ValueError(f"stage {number} cannot have stages of its own")
            cls.model_validate(changes)
        return stages

    @property
    def tasks(self) -> int:
        """Processes on each node."""
        return self.tasks_per_node or self.gpus_per_node or 1

    def for_stage(self, number: int) -> Profile:
        """The request of one stage: this one, with what is different for it."""
        common = self.model_dump(exclude={"stages"}, exclude_unset=True)
        return Profile.model_validate({**common, **self.stages.get(number, {})})

    def directives(self) -> dict[str, str]:
        """Options of sbatch, with their values, that are set here."""
        named = ("partition", "account", "qos", "reservation", "constraint", "gres", "mem", "time")
        values = {name: getattr(self, name) for name in named}
        values |= {"cpus-per-task": self.cpus_per_task, "gpus-per-node": self.gpus_per_node or None}
        return {option: str(value) for option, value in values.items() if value is not None}


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        LauncherError: it cannot be read, or a field is unknown or has a wrong value; the message names it.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise LauncherError(f"cluster profile {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise LauncherError(f"cluster profile {path}: is not a list of `field: value`")
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise LauncherError(f"cluster profile {path}: {field}: {first['msg']}; got {first['input']!r}") from error

"""The batch script of one stage."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stage_launchers.profile import Profile


@dataclass(frozen=True)
class BatchJob:
    """What one stage's batch script runs, and where.

    Attributes:
        name: of the job in the queue.
        title: first line of the script, for who reads it.
        argv: the program that runs the stage; started once, on the first node. Its exit code decides:
            0 done; 85 saved, back into the queue; 75 not ready, back into the queue after a while; else failed.
        directory: where the program runs; relative paths in `argv` and in the profile's lines start here.
        script: where the script is kept.
        log: where the script's output goes; on a filesystem that the nodes share.
    """

    name: str
    title: str
    argv: Sequence[str]
    directory: Path
    script: Path
    log: Path


def render(job: BatchJob, profile: Profile) -> str:
    """The text of the script; `profile` is the stage's own, from `Profile.for_stage`."""
    environment = Environment(
        loader=FileSystemLoader(templates()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"quote": shlex.quote, "words": shlex.join}
    return environment.get_template("stage.sbatch").render(
        name=job.name,
        title=job.title,
        command=shlex.join(job.argv),
        script=job.script.resolve(),
        log=str(job.log.resolve()),
        directory=str(job.directory.resolve()),
        profile=profile,
    )


def templates() -> Path:
    """The folder of the templates: inside an installed package, or `slurm/` of the source tree."""
    installed = Path(__file__).parent / "slurm"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "slurm"

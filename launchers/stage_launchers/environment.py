"""The environment of a job: what the launcher tells its processes, and what must not reach them."""

from __future__ import annotations

import os
import uuid

from stage_launchers.job import Job

TORCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
WORLD_SIZE = "STAGE_LAUNCHER_WORLD_SIZE"  # how many processes were asked for
MEETING_FILE = "STAGE_LAUNCHER_MEETING_FILE"  # where rank 0 publishes its address; another file for each launch
LAUNCHER_PID = "STAGE_LAUNCHER_PID"  # the parent that a process must not outlive


def job_environment(job: Job) -> dict[str, str]:
    """The caller's environment without any trace of a job that the caller itself belongs to, and with this job's.

    A RANK that is left over from the caller would make every process take itself for that rank.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in (*TORCH_VARIABLES, LAUNCHER_PID)}
    meeting_file = job.log_dir.resolve() / f"rdzv-{uuid.uuid4().hex[:8]}.json"
    return {**inherited, WORLD_SIZE: str(job.world_size), MEETING_FILE: str(meeting_file), **job.env}

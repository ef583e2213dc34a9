"""Hand a run to Slurm: one batch job per stage, all in the queue at once, each waiting for its parents."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.files import write_text
from dist_mcl.run_folder import RunFolder, RunLock, StageFolder
from stage_launchers import LauncherError
from stage_launchers.batch import BatchJob, render
from stage_launchers.partition import partitions, refusal, warnings
from stage_launchers.profile import Profile, load_profile
from stage_launchers.queue import QueuedJob, cancel, query, release, submit


def load_cluster(path: Path) -> Profile:
    """A cluster profile.

    Raises:
        UserError: it cannot be read, or a field is unknown or has a wrong value.
    """
    try:
        return load_profile(path)
    except LauncherError as error:
        raise UserError(str(error)) from error


def batch_scripts(run: RunFolder, profile: Profile) -> dict[int, str]:
    """The batch script of every stage that is not done, by stage number.

    Raises:
        UserError: a stage's micro-batches cannot be shared out over the processes that the profile asks for.
    """
    return {folder.number: _script(run, folder, profile) for folder in run.stages() if not folder.is_done()}


def check_cluster(run: RunFolder, profile: Profile) -> list[str]:
    """What the cluster's partitions are going to do with the stages that are not done, a warning each.

    Raises:
        UserError: a stage would wait in the queue for ever, or Slurm does not answer.
    """
    lines: list[str] = []
    try:
        known = partitions()
    except LauncherError as error:
        raise UserError(str(error)) from error
    for folder in run.stages():
        if not folder.is_done():
            mine = profile.for_stage(folder.number)
            if reason := refusal(mine, known):
                raise UserError(f"cluster profile: stage {folder.number}: {reason}")
            lines += warnings(mine, known)
    return list(dict.fromkeys(lines))


def submit_run(run: RunFolder, cluster: Path) -> dict[int, int]:
    """Queue every stage that is not done; returns job numbers by stage number.

    The scripts are kept in the run folder, beside a copy of the profile. All stages are queued, or none.

    Raises:
        UserError: the profile is wrong, Slurm refuses it, or the run is being worked on or is queued already.
    """
    scripts = batch_scripts(run, load_cluster(cluster))
    try:
        with RunLock(run.path):
            _refuse_if_queued(run)
            run.save_experiment()
            run.stop_file.unlink(missing_ok=True)
            folder = _slurm_folder(run)
            folder.mkdir(exist_ok=True)
            if cluster.resolve() != profile_copy(run).resolve():
                shutil.copyfile(cluster, profile_copy(run))
            for number, text in scripts.items():
                write_text(_script_path(run, number), text)
            return _queue(run, list(scripts))
    except LauncherError as error:
        raise UserError(str(error)) from error


def withdraw(folders: list[StageFolder]) -> None:
    """Take the jobs of stages back that have not begun; some may have left the queue already.

    Raises:
        UserError: Slurm does not answer.
    """
    try:
        jobs = query(int(folder.state.job) for folder in folders if folder.state.job)
        cancel([number for number, job in jobs.items() if not job.is_over])
    except LauncherError as error:
        raise UserError(str(error)) from error


def queued_jobs(run: RunFolder) -> dict[str, QueuedJob]:
    """What Slurm says of the run's jobs, by job number, without those that it has forgotten.

    Raises:
        UserError: Slurm does not answer.
    """
    try:
        jobs = query(int(folder.state.job) for folder in run.stages() if folder.state.job)
    except LauncherError as error:
        raise UserError(str(error)) from error
    return {str(number): job for number, job in jobs.items()}


def profile_copy(run: RunFolder) -> Path:
    """The profile that a run was submitted with."""
    return _slurm_folder(run) / "profile.yaml"


def _queue(run: RunFolder, numbers: list[int]) -> dict[int, int]:
    jobs: dict[int, int] = {}
    try:
        for number in numbers:  # parents come first
            after = [jobs[parent] for parent in run.plan.parents[number - 1] if parent in jobs]
            jobs[number] = submit(_script_path(run, number), after=after, hold=not after)
    except LauncherError:
        cancel(jobs.values())
        raise
    for number, job in jobs.items():
        folder = run.stage(number)
        state = replace(folder.state, status="submitted", reason=None, failures=0, job=str(job))
        folder.write_state(state)
    # Held until now: a stage must not begin before the run folder knows its job.
    release(job for number, job in jobs.items() if not set(run.plan.parents[number - 1]) & set(jobs))
    return jobs


def _refuse_if_queued(run: RunFolder) -> None:
    queued = {folder.state.job: folder.number for folder in run.stages() if folder.state.job}
    for number, job in query(int(job) for job in queued).items():
        if not job.is_over:
            raise UserError(
                f"{run.path}: stage {queued[str(number)]} is in the queue as job {number}; "
                f"take it back with `mcl cancel {run.path}`"
            )


def _script(run: RunFolder, folder: StageFolder, profile: Profile) -> str:
    mine = profile.for_stage(folder.number)
    try:
        run.experiment.training.check_processes(mine.nodes * mine.tasks)
    except ValueError as error:
        raise UserError(f"stage {folder.number} on {mine.nodes} nodes x {mine.tasks} tasks: {error}") from error
    argv = [sys.executable, "-m", "dist_mcl.coordinator.batch", "--run", str(run.path.resolve())]
    argv += ["--stage", str(folder.number), "--nodes", str(mine.nodes), "--processes", str(mine.tasks)]
    job = BatchJob(
        name=f"{run.experiment.name}-{folder.number}",
        title=f"Stage {folder.number} of {len(run.plan.stages)} of {run.path.name}",
        argv=argv,
        directory=Path.cwd(),
        script=_script_path(run, folder.number),
        log=_slurm_folder(run) / f"stage-{folder.number:02d}.log",
    )
    return render(job, mine)


def _slurm_folder(run: RunFolder) -> Path:
    return run.path / "slurm"


def _script_path(run: RunFolder, number: int) -> Path:
    return _slurm_folder(run) / f"stage-{number:02d}.sbatch"

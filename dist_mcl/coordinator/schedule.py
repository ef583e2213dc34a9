"""Bring stages to their end: start attempts, and decide what follows each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from dist_mcl.config import Launcher as LauncherConfig
from dist_mcl.coordinator.outcome import judge, next_state
from dist_mcl.errors import StageFailedError, UserError
from dist_mcl.run_folder import Progress, RunFolder, RunLock, StageFolder, StageState, read_progress
from stage_launchers import Handle, Job, Launcher, LauncherError, create_launcher

Watch = Callable[[StageFolder, Progress], None]
# Is told for how many seconds at most the workers of a stage that is stopped are waited for.
Stopping = Callable[[float], None]
_POLL_SECONDS = 0.1
# Workers that are told to end may be within a step and have a checkpoint to write.
_SECONDS_TO_SAVE = 60.0


def _untold(seconds: float) -> None:
    """Nobody wants to know."""


def finish_run(run: RunFolder, watch: Watch, stopping: Stopping = _untold) -> None:
    """Run every stage that is not done; `watch` is called again and again while one runs.

    An attempt whose processes or nodes vanished is made again `launcher.retries` times. Ctrl-C, or whatever else is
    raised meanwhile, goes on to the caller once the workers have ended; `stopping` is called before that is waited for.

    Raises:
        UserError: a mistake that the user can mend, or another coordinator works on this run.
        StageFailedError: anything else that ended a stage; the message says where the logs are.
    """
    with RunLock(run.path):
        run.save_experiment()
        run.stop_file.unlink(missing_ok=True)
        launcher = _launcher(run)
        for folder in run.stages():
            if folder.is_done():
                continue
            folder.write_state(replace(folder.state, failures=0, job=None))
            while (state := make_attempt(run, folder, launcher, watch, stopping)).status != "done":
                refuse_unless_open(folder, state)


def make_attempt(
    run: RunFolder, folder: StageFolder, launcher: Launcher, watch: Watch, stopping: Stopping = _untold
) -> StageState:
    """One attempt at a stage, to its end; the state that follows from it is written and returned.

    Raises:
        UserError: the attempt ended with a mistake that the user can mend, the launcher cannot start it as configured,
            or results of the stage were changed.
    """
    if changed := folder.damage():
        # Later stages and the memory build upon what was there: doing it again would not give the same.
        raise UserError(
            f"{folder.path}: {', '.join(changed)} changed since the stage was done; bring it back, or begin another run"
        )
    state = replace(folder.state, status="running", attempt=folder.new_attempt(), reason=None)
    folder.write_state(state)
    begun = time.time()
    try:
        code = _run_workers(launcher.launch(_job(run, folder, state.attempt)), folder, state.attempt, watch, stopping)
    except LauncherError as error:
        folder.write_state(replace(state, status="failed", reason=str(error)))
        raise UserError(str(error)) from error
    outcome = judge(folder, state.attempt, code)
    state = replace(state, seconds=state.seconds + time.time() - begun)
    state = next_state(state, outcome, run.experiment.launcher.retries, run.stop_file.exists())
    folder.write_state(state)
    if outcome.kind == "mistake":
        raise UserError(str(outcome.reason))
    return state


def refuse_unless_open(folder: StageFolder, state: StageState) -> None:
    """Stop here unless the stage may be tried again.

    Raises:
        StageFailedError: it failed for good, or was cancelled.
    """
    logs = folder.attempt(state.attempt)
    if state.status == "cancelled":
        raise StageFailedError(f"stage {folder.number} was cancelled; the same command continues it")
    if state.status == "failed":
        raise StageFailedError(f"stage {folder.number} failed: {state.reason}; its logs are in {logs}")


def _launcher(run: RunFolder) -> Launcher:
    wanted = run.experiment.launcher
    try:
        return create_launcher(wanted.kind, wanted.options)
    except LauncherError as error:
        raise UserError(str(error)) from error


def _run_workers(handle: Handle, folder: StageFolder, attempt: int, watch: Watch, stopping: Stopping) -> int:
    try:
        while (code := handle.poll()) is None:
            progress = read_progress(folder.attempt(attempt) / "progress.json")
            if progress is not None:
                watch(folder, progress)
            time.sleep(_POLL_SECONDS)
    except BaseException:  # Ctrl-C as well: no worker may outlive its coordinator
        stopping(_SECONDS_TO_SAVE)
        handle.stop(_SECONDS_TO_SAVE)
        raise
    return code


def _job(run: RunFolder, folder: StageFolder, attempt: int) -> Job:
    wanted = run.experiment.launcher
    argv = [sys.executable, "-m", "dist_mcl.worker"]
    argv += ["--run", str(run.path.resolve()), "--stage", str(folder.number), "--attempt", str(attempt)]
    return Job(
        argv=tuple(argv),
        processes=wanted.processes,
        nodes=wanted.nodes,
        name=f"{run.experiment.name}-{folder.number}",
        log_dir=folder.attempt(attempt),
        env={"OMP_NUM_THREADS": str(threads_of(wanted)), "TOKENIZERS_PARALLELISM": "false"},
    )


def threads_of(launcher: LauncherConfig) -> int:
    """CPU threads of each process on this machine, or on machines like it."""
    return launcher.threads or max(1, usable_cores() // launcher.processes)


def usable_cores() -> int:
    """Processor cores of this machine that this process, or the Slurm job that it belongs to, may use."""
    mine = len(os.sched_getaffinity(0))
    # A cluster that does not bind jobs to their cores shows all of the node's.
    return min(mine, int(os.environ.get("SLURM_CPUS_ON_NODE", mine)))

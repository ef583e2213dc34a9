"""Run the stages of a run one after the other, from the first that is not done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dist_mcl.errors import StageFailedError, UserError
from dist_mcl.files import read_json
from dist_mcl.run_folder import Progress, RunFolder, RunLock, StageFolder, StageState, read_progress
from stage_launchers import Job, LocalLauncher

Watch = Callable[[StageFolder, Progress], None]
_POLL_SECONDS = 0.1


def finish_run(run: RunFolder, watch: Watch) -> None:
    """Run every stage that is not done; `watch` is called again and again while one runs.

    Raises:
        UserError: a mistake that the user can mend, or another coordinator works on this run.
        StageFailedError: anything else that ended a stage; the message says where the logs are.
    """
    with RunLock(run.path):
        for folder in run.stages():
            if folder.is_done():
                continue
            _attempt(run, folder, watch)


def _attempt(run: RunFolder, folder: StageFolder, watch: Watch) -> None:
    before = folder.state
    state = StageState("running", before.attempt + 1, None, before.seconds)
    attempt = folder.attempt(state.attempt)
    attempt.mkdir(parents=True)
    folder.write_state(state)
    begun = time.time()
    code = _run_workers(run, folder, state.attempt, watch)
    state = replace(state, seconds=state.seconds + time.time() - begun)
    if code == 0 and folder.is_done():
        folder.write_state(replace(state, status="done"))
        return
    is_users, reason = _first_error(attempt) or (False, f"a process ended with exit code {code}")
    folder.write_state(replace(state, status="failed", reason=reason))
    if is_users:
        raise UserError(reason)
    raise StageFailedError(f"stage {folder.number} failed: {reason}; its logs are in {attempt}")


def _run_workers(run: RunFolder, folder: StageFolder, attempt: int, watch: Watch) -> int:
    processes = run.experiment.launcher.processes
    threads = max(1, (os.cpu_count() or 1) // processes)
    argv = [sys.executable, "-m", "dist_mcl.worker"]
    argv += ["--run", str(run.path.resolve()), "--stage", str(folder.number), "--attempt", str(attempt)]
    job = Job(
        argv=tuple(argv),
        processes=processes,
        log_dir=folder.attempt(attempt),
        env={"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
    )
    handle = LocalLauncher().launch(job)
    try:
        while (code := handle.poll()) is None:
            progress = read_progress(folder.attempt(attempt) / "progress.json")
            if progress is not None:
                watch(folder, progress)
            time.sleep(_POLL_SECONDS)
    except BaseException:  # Ctrl-C as well: no worker may outlive its coordinator
        handle.stop()
        raise
    return code


def _first_error(attempt: Path) -> tuple[bool, str] | None:
    """Whether it is the user's mistake, and the reason, of the earliest report: later ones say that a peer has gone."""
    records = [record for path in attempt.glob("error-*.json") if (record := read_json(path))]
    first = min(records, key=lambda record: record["time"], default=None)
    return None if first is None else (bool(first["users_mistake"]), str(first["reason"]))

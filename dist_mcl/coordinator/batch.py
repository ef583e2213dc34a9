"""One stage inside a batch job: `python -m dist_mcl.coordinator.batch --run RUN --stage N`.

The batch script goes by its exit code: 0 the stage is done; 85 it saved and is to be queued again; 75 it cannot begin
yet, or its processes vanished, so it is to be queued again later; 2 a user's mistake; 1 it failed or was cancelled.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from dist_mcl.coordinator.schedule import make_attempt
from dist_mcl.errors import StageFailedError, UserError
from dist_mcl.run_folder import Progress, RunFolder, RunLock, StageFolder, StageState
from stage_launchers import Launcher, create_launcher

DONE, FAILED, MISTAKE, NOT_READY, YIELDED = 0, 1, 2, 75, 85
_EXIT_CODES = {"done": DONE, "yielded": YIELDED, "waiting": NOT_READY, "failed": FAILED, "cancelled": FAILED}
_SECONDS_BETWEEN_LINES = 30.0


def run_stage(run: RunFolder, number: int, launcher: Launcher) -> int:
    """Make one attempt at a stage, unless it is done, cancelled, or waits for another; returns the exit code.

    Raises:
        UserError: a mistake that the user can mend, or another coordinator works on this run.
    """
    folder = run.stage(number)
    if folder.is_done():
        return DONE
    waits_for = [parent for parent in run.plan.parents[number - 1] if not run.stage(parent).is_done()]
    if waits_for:
        print(f"stage {number} waits for stages {waits_for}", flush=True)
        return NOT_READY
    with RunLock(run.path):
        # Not always the job that `mcl submit` wrote down: the script can be submitted by hand, too.
        folder.write_state(replace(folder.state, job=os.environ.get("SLURM_JOB_ID")))
        if run.stop_file.exists():
            folder.write_state(replace(folder.state, status="cancelled", reason="cancelled before it began"))
            return FAILED
        state = make_attempt(run, folder, launcher, _Lines().show)
    print(_describe(number, state), flush=True)
    return _EXIT_CODES[state.status]


class _Lines:
    """The progress of a stage as plain lines, one every half minute."""

    def __init__(self) -> None:
        self._printed = 0.0

    def show(self, folder: StageFolder, progress: Progress) -> None:
        if time.monotonic() - self._printed >= _SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            print(f"stage {folder.number} {progress.step} {progress.done}/{progress.total}", flush=True)


def _describe(number: int, state: StageState) -> str:
    return f"stage {number}, attempt {state.attempt}: {state.status}" + (f" ({state.reason})" if state.reason else "")


def main() -> int:
    """Run one stage with the processes of this allocation."""
    parser = argparse.ArgumentParser(prog="python -m dist_mcl.coordinator.batch", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--stage", type=int, required=True, help="number of the stage, from 1")
    parser.add_argument("--nodes", type=int, required=True, help="nodes of the allocation")
    parser.add_argument("--processes", type=int, required=True, help="processes on each of them")
    arguments = parser.parse_args()
    # The scheduler tells the workers as well; they save, and this process stays to write down how they ended.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        run = RunFolder.open(arguments.run).launched_with(
            kind="slurm", nodes=arguments.nodes, processes=arguments.processes
        )
        run.check_can_continue()
        return run_stage(run, arguments.stage, create_launcher("slurm"))
    except UserError as error:
        print(f"stage {arguments.stage}: {error}", file=sys.stderr)
        return MISTAKE
    except StageFailedError as error:
        print(f"stage {arguments.stage}: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())

"""What a person may ask of a run: stop, and try a stage again."""

from __future__ import annotations

import getpass
import socket
import time
from dataclasses import replace

from dist_mcl.errors import UserError
from dist_mcl.files import write_json
from dist_mcl.run_folder import RunFolder, RunLock, StageFolder

_OPEN_AGAIN = ("failed", "cancelled", "yielded", "running", "submitted")


def cancel(run: RunFolder) -> list[StageFolder]:
    """Ask the running stage to save and end; returns the stages that were submitted and have not begun.

    The wish is a file in the run folder, which works whatever started the workers and wherever they are; they see it at
    the end of their step.

    Raises:
        UserError: nothing of this run is running or submitted.
    """
    waiting = [folder for folder in run.stages() if folder.state.status == "submitted"]
    if not waiting and not RunLock(run.path).is_held():
        raise UserError(f"{run.path}: nothing is running; see `mcl status {run.path}`")
    write_json(run.stop_file, {"by": getpass.getuser(), "host": socket.gethostname(), "time": time.time()})
    for folder in waiting:
        folder.write_state(replace(folder.state, status="cancelled", reason="cancelled before it began"))
    return waiting


def reopen(run: RunFolder, number: int) -> bool:
    """Let a stage that failed or was cancelled be tried again, with all its retries; returns whether it was submitted.

    Raises:
        UserError: there is no such stage, it is done, has not been tried, or is being worked on, or another version
            began the run.
    """
    if not 1 <= number <= len(run.plan.stages):
        raise UserError(f"--stage {number}: this run has stages 1 to {len(run.plan.stages)}")
    folder = run.stage(number)
    if folder.is_done():
        raise UserError(f"--stage {number}: is done; nothing is to be tried again")
    state = folder.state
    if state.status not in _OPEN_AGAIN:
        raise UserError(f"--stage {number}: has not been tried; continue the run with `mcl run`")
    run.check_can_continue()
    with RunLock(run.path):
        run.stop_file.unlink(missing_ok=True)
        folder.write_state(replace(state, status="waiting", failures=0, reason=None, job=None))
    return state.job is not None

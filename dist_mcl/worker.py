"""What one rank of a stage runs: `python -m dist_mcl.worker --run RUN --stage N --attempt A`.

A person can start it too, without `--attempt`: `deepspeed --num_accelerators 2 --module dist_mcl.worker --run RUN
--stage N`.

Exit codes: 0 the stage is done; 2 a user's mistake; 75 the stage before is not done; 85 asked to stop, start it again
to continue; 1 anything else. Launchers garble exit codes, so what happened is also left in the attempt's folder, where
the coordinator finds it: `error-<rank>.json` has the reason of a failure, `yielded.json` tells that it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dist_mcl.coordinator.outcome import judge, next_state
from dist_mcl.errors import UserError
from dist_mcl.files import write_json
from dist_mcl.run_folder import ProgressFile, RunFolder, RunLock, StageFolder
from dist_mcl.training.preemption import StageYieldedError, StopRequests, StopSignals
from stage_launchers import die_with_launcher, end_process, rendezvous

DONE, FAILED, USERS_MISTAKE, NOT_READY, YIELDED = 0, 1, 2, 75, 85


def main() -> int:
    """Run one stage on this rank."""
    die_with_launcher()
    signals = StopSignals()
    signals.install()
    arguments = _arguments()
    run = RunFolder.open(arguments.run)
    folder = run.stage(arguments.stage)
    if folder.is_done():
        return DONE
    if arguments.stage > 1 and not run.stage(arguments.stage - 1).is_done():
        print(f"stage {arguments.stage - 1} is not done yet", file=sys.stderr)
        return NOT_READY
    rank = rendezvous().rank
    with contextlib.ExitStack() as by_hand:
        attempt = arguments.attempt
        try:
            if attempt is None and rank == 0:
                attempt = by_hand.enter_context(_attempt_by_hand(run, folder))
            _work(run, folder, attempt, rank, signals)
        except StageYieldedError:
            return YIELDED
        except Exception as error:  # noqa: BLE001 - whatever it is, the coordinator must learn of it
            return _report(error, None if attempt is None else folder.attempt(attempt), rank)
    return DONE


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dist_mcl.worker", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--stage", type=int, required=True, help="number of the stage, from 1")
    parser.add_argument(
        "--attempt", type=int, help="number of the attempt, as in the stage's state.json; a new one when left out"
    )
    return parser.parse_args()


@contextlib.contextmanager
def _attempt_by_hand(run: RunFolder, folder: StageFolder) -> Iterator[int]:
    """What a coordinator does, where a person starts the workers: hold the lock, begin an attempt, note its end."""
    with RunLock(run.path):
        attempt = folder.new_attempt()
        state = replace(folder.state, status="running", attempt=attempt, reason=None)
        folder.write_state(replace(state, job=os.environ.get("SLURM_JOB_ID")))
        yield attempt
        outcome = judge(folder, attempt, code=FAILED)
        folder.write_state(next_state(folder.state, outcome, retries=0, is_cancelled=run.stop_file.exists()))


def _work(run: RunFolder, folder: StageFolder, attempt: int | None, rank: int, signals: StopSignals) -> None:
    run.check_can_continue()
    progress = ProgressFile(folder.attempt(attempt) / "progress.json" if rank == 0 and attempt else None)
    progress.begin("start")
    # The heavy imports come late, so that the progress file says "start" while they last. What they make stays: to look
    # through all of it for garbage, again and again as it grows, would take a fifth of the time.
    gc.disable()
    from dist_mcl.training.process_group import join_process_group
    from dist_mcl.training.stages import stage_run

    kind = stage_run(run)
    gc.freeze()
    gc.enable()

    group = join_process_group(run.experiment.training.step_timeout)
    number = group.broadcast(attempt)
    stop = StopRequests(signals, run.stop_file, folder.attempt(number), group)
    kind(run, folder, number, group, progress, stop).finish()


def _report(error: Exception, attempt: Path | None, rank: int) -> int:
    is_users = isinstance(error, UserError)
    reason = str(error) if is_users else f"{type(error).__name__}: {error}"
    record = {"rank": rank, "users_mistake": is_users, "reason": reason, "time": time.time()}
    if attempt is not None:
        with contextlib.suppress(OSError):  # a full disk, say; then the log and the exit code have to do
            write_json(attempt / f"error-{rank}.json", record)
    traceback.print_exception(error)
    return USERS_MISTAKE if is_users else FAILED


if __name__ == "__main__":
    end_process(main())

"""What one rank of a stage runs: `python -m dist_mcl.worker --run RUN --stage N --attempt A`.

Exit codes: 0 the stage is done, 2 a user's mistake, 1 anything else. The reason of a failure is left in the attempt's
folder, where the coordinator finds it whatever the launcher makes of the exit code.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.files import write_json
from dist_mcl.run_folder import ProgressFile, RunFolder
from stage_launchers import die_with_launcher, rendezvous


def main() -> int:
    """Run one stage on this rank."""
    die_with_launcher()
    parser = argparse.ArgumentParser(prog="python -m dist_mcl.worker", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--stage", type=int, required=True, help="number of the stage, from 1")
    parser.add_argument(
        "--attempt", type=int, required=True, help="number of the attempt, as in the stage's state.json"
    )
    arguments = parser.parse_args()
    run = RunFolder.open(arguments.run)
    folder = run.stage(arguments.stage)
    attempt = folder.attempt(arguments.attempt)
    rank = rendezvous().rank
    progress = ProgressFile(attempt / "progress.json" if rank == 0 else None)
    progress.begin("start")
    try:
        # The heavy imports come late, so that the progress file says "start" while they last.
        from dist_mcl.training.process_group import join_process_group
        from dist_mcl.training.stage import StageRun

        group = join_process_group(run.experiment.training.step_timeout)
        StageRun(run, folder, arguments.attempt, group, progress).finish()
    except Exception as error:  # noqa: BLE001 - whatever it is, the coordinator must learn of it
        traceback.print_exc()
        is_users = isinstance(error, UserError)
        reason = str(error) if is_users else f"{type(error).__name__}: {error}"
        record = {"rank": rank, "users_mistake": is_users, "reason": reason, "time": time.time()}
        write_json(attempt / f"error-{rank}.json", record)
        return 2 if is_users else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m stage_launchers.rank LOG_DIR PROGRAM ...`: become the program, with this rank's own log file.

For launchers that mix the output of all ranks. Being replaced by the program keeps process id, signals and exit code.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stage_launchers.environment import LAUNCHER_PID
from stage_launchers.parent import die_with_launcher

_RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


def main(log_dir: str, *argv: str) -> None:
    """Does not return.

    Raises:
        SystemExit: no launcher says which rank this is, or the program cannot be started.
    """
    rank = next((os.environ[name] for name in _RANK_VARIABLES if name in os.environ), None)
    if rank is None:
        sys.exit(f"none of {', '.join(_RANK_VARIABLES)} is set: this program is started by a launcher, once per rank")
    log = os.open(Path(log_dir) / f"rank-{int(rank)}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ[LAUNCHER_PID] = str(os.getppid())
    die_with_launcher()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])

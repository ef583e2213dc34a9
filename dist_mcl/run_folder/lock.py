"""One coordinator at a time: a lock file that names its owner."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from dist_mcl.errors import UserError


class RunLock:
    """Held while a coordinator works on a run folder; a context manager.

    The file is made exclusively and names host, process and the process' start time, so the lock of a process that
    was killed on this host is recognised and taken over. (flock is not used: network file systems differ on it.)
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "lock.json"

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            UserError: another live coordinator holds it.
        """
        me = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
        while True:
            try:
                with self._path.open("x", encoding="utf-8") as file:
                    json.dump(me, file)
                return self
            except FileExistsError:
                self._take_over_if_stale()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)

    def is_held(self) -> bool:
        """Whether a live coordinator holds the lock; one on another host is taken to be alive."""
        owner = self._owner()
        return owner is not None and (
            owner["host"] != socket.gethostname() or _is_alive(owner["pid"], owner["started"])
        )

    def _owner(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError:  # its owner died between making the file and naming itself
            return {"host": socket.gethostname(), "pid": 0, "started": 0.0}

    def _take_over_if_stale(self) -> None:
        owner = self._owner()
        if owner is not None and self.is_held():
            raise UserError(
                f"{self._path.parent}: process {owner['pid']} on {owner['host']} is working on this run; wait for it, "
                f"or remove {self._path} if it is gone"
            )
        self._path.unlink(missing_ok=True)


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False

"""One coordinator at a time: a lock file that names its owner and beats while the owner lives."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

from dist_mcl.errors import UserError

_SECONDS_BETWEEN_BEATS = 2.0
# No beat for so long: the owner, or its host, is gone.
_SECONDS_TO_LIVE = 10.0


@dataclass(frozen=True)
class Owner:
    """Who wrote a lock file.

    Attributes:
        host: name of its host.
        pid: number of its process there.
        started: when that process began, seconds since the epoch: process numbers are used again.
        released: it has finished.
    """

    host: str
    pid: int
    started: float
    released: bool = False


class RunLock:
    """Held while a coordinator works on a run folder; a context manager.

    `RUN/lock/` holds one file, `<n>.json`; taking the lock is making number n + 1, which only one process can do. The
    numbers only grow, so who judged lock n to be stale can never take a lock that was made since. The owner touches its
    file every two seconds. On its own host a dead owner is recognised at once; of another host's owner the beats are
    watched for ten seconds, which needs no clocks that agree. (flock is not used: network file systems differ on it.)
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / "lock"
        self._mine: Path | None = None
        self._ended = threading.Event()

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            UserError: another live coordinator holds it.
        """
        self._folder.mkdir(exist_ok=True)
        while self._mine is None:
            latest = self._latest()
            owner = _read(latest)
            if owner is not None and self._is_alive(latest, owner, patient=True):
                raise UserError(
                    f"{self._folder.parent}: process {owner.pid} on {owner.host} is working on this run; wait for it, "
                    f"or stop it with `mcl cancel {self._folder.parent}`"
                )
            self._mine = self._make(_number(latest) + 1)
        threading.Thread(target=self._beat, args=(self._mine,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._mine is not None and self._mine.exists():
            _write(self._mine, Owner(**{**asdict(_me()), "released": True}))

    def is_held(self) -> bool:
        """Whether a live coordinator holds the lock; answers at once, so it trusts the clocks of other hosts."""
        latest = self._latest()
        owner = _read(latest)
        return owner is not None and self._is_alive(latest, owner, patient=False)

    def _latest(self) -> Path | None:
        return max(self._folder.glob("*.json"), key=_number, default=None)

    def _is_alive(self, path: Path | None, owner: Owner, patient: bool) -> bool:
        if owner.released or path is None:
            return False
        if owner.host == socket.gethostname():
            return _is_running(owner.pid, owner.started)
        if not patient:
            beat = _last_beat(path)
            return beat is not None and time.time() - beat < _SECONDS_TO_LIVE
        first, end = _last_beat(path), time.monotonic() + _SECONDS_TO_LIVE
        while time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_BEATS / 2)
            if _last_beat(path) != first:
                return path.exists()
        return False

    def _make(self, number: int) -> Path | None:
        """The new lock file, or None when another process was faster."""
        path = self._folder / f"{number:06d}.json"
        scratch = self._folder / f".{uuid.uuid4().hex}"
        scratch.write_text(json.dumps(asdict(_me())), encoding="utf-8")
        try:
            os.link(scratch, path)  # unlike a rename it fails when the name is taken; the file is whole from the start
        except FileExistsError:
            return None
        finally:
            scratch.unlink()
        for older in self._folder.glob("*.json"):
            if _number(older) < number:
                older.unlink(missing_ok=True)
        return path

    def _beat(self, mine: Path) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_BEATS):
            try:
                os.utime(mine)
            except FileNotFoundError:  # taken over: this process was held up for longer than a lock lives
                return


def _me() -> Owner:
    return Owner(socket.gethostname(), os.getpid(), psutil.Process().create_time())


def _number(path: Path | None) -> int:
    return 0 if path is None else int(path.stem)


def _read(path: Path | None) -> Owner | None:
    try:
        return None if path is None else Owner(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:  # a newer lock has just replaced it
        return None


def _write(path: Path, owner: Owner) -> None:
    scratch = path.with_name(f".{uuid.uuid4().hex}")
    scratch.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    scratch.replace(path)


def _last_beat(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _is_running(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False

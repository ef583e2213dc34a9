"""One coordinator at a time, and no lock that outlives its owner."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dist_mcl.errors import UserError
from dist_mcl.run_folder import RunLock, lock

HOLD = """
import sys, time
from pathlib import Path
from dist_mcl.run_folder import RunLock, lock
lock._SECONDS_BETWEEN_BEATS = 0.05
lock.socket.gethostname = lambda: "elsewhere"
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def brief_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_BEATS", 0.05)
    monkeypatch.setattr(lock, "_SECONDS_TO_LIVE", 1.0)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that calls its host `elsewhere` and holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def lock_of(path: Path, pid: int, started: float, host: str | None = None) -> None:
    owner = {"host": host or socket.gethostname(), "pid": pid, "started": started}
    (path / "lock").mkdir()
    (path / "lock" / "000007.json").write_text(json.dumps(owner))


def test_a_second_coordinator_is_refused_and_names_the_first(tmp_path: Path) -> None:
    me = psutil.Process().pid
    with RunLock(tmp_path), pytest.raises(UserError, match=f"process {me} on .*mcl cancel"), RunLock(tmp_path):
        pass
    assert not RunLock(tmp_path).is_held()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        with RunLock(tmp_path):
            assert RunLock(tmp_path).is_held()
    assert [path.name for path in (tmp_path / "lock").iterdir()] == ["000003.json"]


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    started = psutil.Process(process.pid).create_time()
    process.wait()
    lock_of(tmp_path, process.pid, started)
    with RunLock(tmp_path):
        assert [path.name for path in (tmp_path / "lock").iterdir()] == ["000008.json"]


def test_a_reused_process_number_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock_of(tmp_path, psutil.Process().pid, started=1.0)
    with RunLock(tmp_path):
        pass


def test_many_at_once_take_over_a_dead_lock_and_one_wins(tmp_path: Path) -> None:
    lock_of(tmp_path, psutil.Process().pid, started=1.0)
    winners = []

    def take() -> None:
        try:
            RunLock(tmp_path).__enter__()
            winners.append(1)
        except UserError:
            pass

    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(take)
    assert len(winners) == 1


@pytest.mark.usefixtures("brief_lives")
def test_another_host_that_beats_is_alive(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(UserError, match=f"process {holder.pid} on elsewhere"), RunLock(tmp_path):
        pass
    assert RunLock(tmp_path).is_held()


@pytest.mark.usefixtures("brief_lives")
def test_another_host_without_a_beat_is_gone(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    begun = time.monotonic()
    with RunLock(tmp_path):
        assert time.monotonic() - begun > 0.9  # it was watched first

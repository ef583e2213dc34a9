"""One coordinator at a time, and no lock that outlives its owner."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dist_mcl.errors import UserError
from dist_mcl.run_folder import RunLock


def lock_of(path: Path, pid: int, started: float, host: str | None = None) -> None:
    owner = {"host": host or socket.gethostname(), "pid": pid, "started": started}
    (path / "lock.json").write_text(json.dumps(owner))


def test_a_second_coordinator_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(UserError, match=f"process {psutil.Process().pid} on"), RunLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    started = psutil.Process(process.pid).create_time()
    process.wait()
    lock_of(tmp_path, process.pid, started)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == psutil.Process().pid


def test_a_reused_process_number_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock_of(tmp_path, psutil.Process().pid, started=1.0)
    with RunLock(tmp_path):
        pass


def test_a_half_written_lock_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text("")
    with RunLock(tmp_path):
        pass


def test_another_host_is_never_judged_dead(tmp_path: Path) -> None:
    lock_of(tmp_path, 1, 1.0, host="elsewhere")
    with pytest.raises(UserError, match="on elsewhere is working"), RunLock(tmp_path):
        pass

"""Real processes: who they are told to be, and how they end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from stage_launchers import Job, LauncherError, LocalLauncher


def job(folder: Path, code: str, processes: int = 2) -> Job:
    return Job((sys.executable, "-c", textwrap.dedent(code)), processes, folder)


def wait_until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.02)


def test_every_rank_learns_its_place(tmp_path: Path) -> None:
    code = "from stage_launchers import rendezvous; print(rendezvous())"
    assert LocalLauncher().launch(job(tmp_path, code, processes=3)).wait(30) == 0
    lines = [(tmp_path / f"rank-{rank}.log").read_text() for rank in range(3)]
    for rank, line in enumerate(lines):
        assert f"rank={rank}, world_size=3, local_rank={rank}, master_addr='127.0.0.1'" in line
    assert len({line.split("master_port=")[1] for line in lines}) == 1


def test_one_failing_rank_ends_its_peers_with_its_code(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        if os.environ["RANK"] == "1":
            sys.exit(7)
        time.sleep(600)
    """
    assert LocalLauncher().launch(job(tmp_path, code)).wait(30) == 7


def test_stop_kills_what_ignores_sigterm_and_its_children(tmp_path: Path) -> None:
    code = """
        import pathlib, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
    """
    handle = LocalLauncher().launch(job(tmp_path, code, processes=1))
    log = tmp_path / "rank-0.log"
    wait_until(lambda: log.read_text().strip() != "")
    handle.stop(grace=0.2)
    assert handle.poll() == -signal.SIGKILL
    wait_until(lambda: not psutil.pid_exists(int(log.read_text())))


def test_ranks_die_when_their_launcher_is_killed(tmp_path: Path) -> None:
    launcher = f"""
        import sys, time
        from pathlib import Path
        from stage_launchers import Job, LocalLauncher
        code = "import os, time; from stage_launchers import die_with_launcher; die_with_launcher(); " \\
               "print(os.getpid(), flush=True); time.sleep(600)"
        LocalLauncher().launch(Job((sys.executable, "-c", code), 1, Path({str(tmp_path)!r})))
        time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(launcher)], env=dict(os.environ))
    log = tmp_path / "rank-0.log"
    wait_until(lambda: log.exists() and log.read_text().strip() != "")
    process.kill()
    process.wait()
    wait_until(lambda: not psutil.pid_exists(int(log.read_text())))


def test_a_program_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="no-such-program"):
        LocalLauncher().launch(Job(("no-such-program",), 2, tmp_path))

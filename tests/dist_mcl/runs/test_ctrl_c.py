"""Ctrl-C in a terminal: what is waited for is said at once, and at the end how the run goes on."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from dist_mcl.run_folder import RunFolder

from .conftest import run_command
from .test_run import is_in

SECONDS = 240.0


def interrupted(folder: Path) -> tuple[int, str]:
    """Exit code and screen of a run in a terminal that is given Ctrl-C while it trains; no process of it is left."""
    screen, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    # A shell that runs tests in the background has them ignore Ctrl-C, and whatever they start.
    command = ["env", "--default-signal=INT", *run_command(folder)]
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    workers: list[psutil.Process] = []
    said, end = b"", time.monotonic() + SECONDS
    with suppress(OSError):  # the terminal's last writer has gone
        while time.monotonic() < end:
            said += os.read(screen, 4096) if select.select([screen], [], [], 0.02)[0] else b""
            if not workers and is_in(folder, 1, "train"):
                workers = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(signal.SIGINT)
    os.close(screen)
    assert workers and not any(worker.is_running() for worker in workers)
    return process.wait(5), said.decode()


def test_an_interrupted_run_says_what_it_waits_for_and_how_it_goes_on(tmp_path: Path) -> None:
    code, screen = interrupted(tmp_path / "run")
    bars, _, after = screen.partition("stopping: waits for the workers to finish their step and save, at most 60 s; ")
    assert code == 130, screen
    assert "stage 1/3" in bars
    assert after.split("\r\n")[0] == "Ctrl-C again does not wait"
    assert after.rstrip().endswith("mcl: stopped; the same command continues it")
    assert "stage 1/3" not in after
    attempt = RunFolder.open(tmp_path / "run").stage(1).attempt(1)
    assert (attempt / "yielded.json").exists()

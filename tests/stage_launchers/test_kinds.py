"""What every launcher promises, with real processes; the launchers are the rows of rows.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stage_launchers import create_launcher, launcher_kinds
from stage_launchers.process_tree import alive, tree
from tests.stage_launchers.rows import ROWS, Row, require

LAUNCH_ONE = Path(__file__).with_name("launch_one.py")
SAVES_WHEN_ASKED = """
    import signal, time
    asked = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: asked.append(1))
    ready()
    while not asked:
        time.sleep(0.02)
    time.sleep(1.5)
    print("saved", flush=True)
    sys.exit(85)
"""
IGNORES_EVERYTHING = """
    import signal, subprocess, time
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    ready(child.pid)
    time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.02)


@dataclass
class Bench:
    """Starts jobs of one row, each coordinated by a process of its own."""

    row: Row
    folder: Path
    prefix: tuple[str, ...]

    @property
    def ranks(self) -> range:
        return range(self.row.nodes * self.row.processes)

    def start(self, code: str, stop: bool = False, grace: float = 30.0) -> subprocess.Popen[str]:
        """`ready(...)` in the code leaves the rank's process id, and others, in `ready-<rank>`."""
        preamble = f"""
            import os, sys
            from pathlib import Path
            from stage_launchers import die_with_launcher, rendezvous
            die_with_launcher()
            place = rendezvous()
            def ready(*pids):
                file = Path({str(self.folder)!r}) / f"ready-{{place.rank}}"
                file.with_suffix(".partial").write_text(" ".join(map(str, (os.getpid(), *pids))))
                file.with_suffix(".partial").replace(file)
        """
        program = [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(code)]
        spec = {
            "kind": self.row.kind,
            "options": dict(self.row.options),
            "argv": program,
            "processes": self.row.processes,
            "nodes": self.row.nodes,
            "log_dir": str(self.folder),
            "stop_after": [str(self.folder / f"ready-{rank}") for rank in self.ranks] if stop else [],
            "grace": grace,
        }
        command = [*self.prefix, sys.executable, str(LAUNCH_ONE), json.dumps(spec)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def code(self, coordinator: subprocess.Popen[str]) -> int:
        """The job's exit code."""
        output, _ = coordinator.communicate(timeout=120)
        assert coordinator.returncode == 0, self.everything()
        return int(json.loads(output))

    def log(self, rank: int) -> str:
        return (self.folder / f"rank-{rank}.log").read_text()

    def everything(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def wait_until_ready(self) -> None:
        wait_until(lambda: all((self.folder / f"ready-{rank}").exists() for rank in self.ranks), 60)

    def alive(self) -> list[int]:
        """Process ids among those that `ready` left which still run."""
        left = [int(pid) for path in self.folder.glob("ready-?") for pid in path.read_text().split()]
        return [process.pid for process in alive(member for pid in left for member in tree(pid))]


@pytest.fixture(params=[pytest.param(row, id=row.name, marks=row.marks) for row in ROWS])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    row: Row = request.param
    require(*row.needs)
    in_cluster = (*request.getfixturevalue("cluster").run_command, *row.prefix) if row.prefix else ()
    bench = Bench(row, tmp_path, in_cluster)
    yield bench
    for pid in bench.alive():
        os.kill(pid, signal.SIGKILL)


def test_every_kind_has_a_row() -> None:
    assert {row.kind for row in ROWS} == set(launcher_kinds())


def test_every_rank_learns_its_place_and_has_its_log(bench: Bench) -> None:
    assert bench.code(bench.start("print(place)")) == 0, bench.everything()
    places = [line for rank in bench.ranks for line in bench.log(rank).splitlines() if line.startswith("Rendezvous(")]
    assert len(places) == len(bench.ranks), bench.everything()
    for rank, place in enumerate(places):
        assert f"(rank={rank}, world_size={len(places)}, local_rank={rank % bench.row.processes}," in place
    assert len({place.split("master_addr=")[1] for place in places}) == 1


def test_a_failing_rank_ends_its_peers(bench: Bench) -> None:
    others = 600 if bench.row.ends_peers else 3
    coordinator = bench.start(f"ready(); import time; time.sleep(1 if place.rank == 1 else {others}); sys.exit(7)")
    code = bench.code(coordinator)
    assert code == 7 or (code and not create_launcher(bench.row.kind).capabilities.keeps_exit_codes)
    wait_until(lambda: not bench.alive())


def test_a_killed_rank_ends_its_peers(bench: Bench) -> None:
    coordinator = bench.start("ready(); import time; time.sleep(600)")
    bench.wait_until_ready()
    os.kill(int((bench.folder / "ready-1").read_text()), signal.SIGKILL)
    assert bench.code(coordinator) != 0
    wait_until(lambda: not bench.alive())


def test_stop_lets_every_rank_finish(bench: Bench) -> None:
    code = bench.code(bench.start(SAVES_WHEN_ASKED, stop=True))
    assert all("saved" in bench.log(rank) for rank in bench.ranks), bench.everything()
    assert code == 85 or not create_launcher(bench.row.kind).capabilities.keeps_exit_codes
    assert not bench.alive()


def test_stop_kills_what_does_not_finish(bench: Bench) -> None:
    assert bench.code(bench.start(IGNORES_EVERYTHING, stop=True, grace=0.5)) != 0
    wait_until(lambda: not bench.alive())


def test_nothing_outlives_a_killed_coordinator(bench: Bench) -> None:
    coordinator = bench.start("ready(); import time; time.sleep(600)")
    bench.wait_until_ready()
    assert len(bench.alive()) == len(bench.ranks)
    os.kill(int((bench.folder / "coordinator").read_text()), signal.SIGKILL)
    coordinator.communicate()
    wait_until(lambda: not bench.alive())

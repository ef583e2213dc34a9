"""Options of the launchers, and what is refused before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from stage_launchers import Job, LauncherError, create_launcher
from stage_launchers.kinds.slurm import CONTAINER, SlurmLauncher
from stage_launchers.rendezvous import free_port


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("torque", {}, "launcher 'torque': choose one of deepspeed, local, mpi, slurm"),
        ("local", {"hosts": "a"}, "launcher local: no option 'hosts'; it has none"),
        ("deepspeed", {"host_file": "a"}, "launcher deepspeed: no option 'host_file'; it has hostfile, include"),
        ("deepspeed", {"master_port": "high"}, "launcher deepspeed: master_port: .*; got 'high'"),
    ],
)
def test_a_wrong_option_is_named(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LauncherError, match=message):
        create_launcher(kind, options)


@pytest.mark.parametrize(
    ("kind", "options", "nodes", "message"),
    [
        ("local", {}, 2, "2 nodes asked for"),
        ("deepspeed", {}, 2, "2 nodes asked for; name them in a hostfile"),
        ("deepspeed", {"hostfile": "missing"}, 1, "hostfile missing does not exist"),
        ("deepspeed", {"include": "a", "exclude": "b"}, 1, "include or exclude, not both"),
        ("deepspeed", {"no_ssh": True}, 1, "no_ssh needs node_rank, master_addr and master_port"),
        ("mpi", {"mpirun": "no-such-mpirun"}, 1, "no-such-mpirun is not found"),
        ("mpi", {"mpirun": "true"}, 1, "says .* which is neither Open MPI nor MPICH"),
    ],
)
def test_what_cannot_be_started_is_refused(
    kind: str, options: dict[str, Any], nodes: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LauncherError, match=message):
        create_launcher(kind, options).launch(Job(("true",), 2, tmp_path, nodes=nodes))
    assert not list(tmp_path.iterdir())


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="launcher local: cannot start no-such-program"):
        create_launcher("local").launch(Job(("no-such-program",), 2, tmp_path))


def test_srun_is_refused_outside_an_allocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(LauncherError, match=r"srun is not found|not inside an allocation"):
        create_launcher("slurm").launch(Job(("true",), 1, tmp_path))


def test_the_container_of_the_profile_reaches_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONTAINER, "apptainer exec 'my image.sif'")
    launcher = create_launcher("slurm")
    assert isinstance(launcher, SlurmLauncher) and launcher.container == ("apptainer", "exec", "my image.sif")


@pytest.mark.slow
def test_deepspeed_takes_hosts_and_slots_from_a_host_file(tmp_path: Path) -> None:
    hostfile = tmp_path / "hosts"
    hostfile.write_text("localhost slots=4\nelsewhere slots=4\n")
    options = {"hostfile": str(hostfile), "include": "localhost:1,3", "no_ssh": True, "node_rank": 0}
    options |= {"master_addr": "127.0.0.1", "master_port": free_port()}
    say = (sys.executable, "-c", "from stage_launchers import rendezvous; print(rendezvous())")
    assert create_launcher("deepspeed", options).launch(Job(say, 2, tmp_path)).wait(120) == 0
    assert [f"rank={rank}, world_size=2" in (tmp_path / f"rank-{rank}.log").read_text() for rank in (0, 1)] == [
        True,
        True,
    ]


def test_a_job_of_another_size_than_asked_for_ends(tmp_path: Path) -> None:
    say = (sys.executable, "-c", "from stage_launchers import rendezvous; print(rendezvous())")
    options = {"arguments": ["-n", "1"]}
    assert create_launcher("mpi", options).launch(Job(say, 2, tmp_path)).wait(120) != 0
    assert "2 processes were asked for, but this one is in a job of 1" in (tmp_path / "rank-0.log").read_text()

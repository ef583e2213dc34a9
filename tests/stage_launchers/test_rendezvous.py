"""Every source of a process' place: environments as the launchers really set them, and real launchers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stage_launchers import Rendezvous, RendezvousError, rendezvous
from stage_launchers.rendezvous import first_host
from tests.stage_launchers.conftest import Cluster
from tests.stage_launchers.rows import require

COMPLETE = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29501"}
# Task 1 of `srun --nodes=2 --ntasks-per-node=1`, Slurm 22.05; the launch node is the login host, no place to meet.
SLURM = {
    "SLURM_JOB_ID": "812",
    "SLURM_JOB_NODELIST": "n[1-4]",
    "SLURM_LAUNCH_NODE_IPADDR": "10.78.0.254",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[3-4]",
    "SLURM_STEP_NUM_TASKS": "2",
}
# The batch script itself: in a job, but in no step of srun.
BATCH_SCRIPT = {"SLURM_JOB_ID": "812", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_LOCALID": "0", "SLURM_PROCID": "0"}


def test_complete_environment_is_taken_as_it_is() -> None:
    assert rendezvous({**SLURM, **COMPLETE}) == Rendezvous(1, 4, 1, "node7", 29501)


@pytest.mark.parametrize("env", [{}, BATCH_SCRIPT], ids=["alone", "batch script"])
def test_alone_fills_in_all_five_variables(env: dict[str, str]) -> None:
    env = dict(env)
    assert rendezvous(env).world_size == 1
    assert set(COMPLETE) <= set(env)


def test_a_second_call_says_the_same() -> None:
    env = dict(SLURM)
    assert rendezvous(env) == rendezvous(env)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASTER_PORT": None}, "MASTER_PORT missing"),
        ({"RANK": "one"}, "RANK='one'"),
        ({"RANK": "4"}, "RANK=4 is not below WORLD_SIZE=4"),
        ({"STAGE_LAUNCHER_WORLD_SIZE": "8"}, "8 processes were asked for, but this one is in a job of 4"),
    ],
)
def test_contradictions_are_named(change: dict[str, str | None], message: str) -> None:
    env = {name: value for name, value in {**COMPLETE, **change}.items() if value is not None}
    with pytest.raises(RendezvousError, match=message):
        rendezvous(env)


def test_a_slurm_task_meets_on_the_first_node_of_its_step() -> None:
    places = [rendezvous({**SLURM, "SLURM_PROCID": rank}) for rank in ("0", "1")]
    assert [(place.rank, place.world_size, place.master_addr) for place in places] == [(0, 2, "n3"), (1, 2, "n3")]
    assert places[0].master_port == places[1].master_port


def test_steps_of_other_jobs_meet_at_other_ports() -> None:
    ports = {rendezvous({**SLURM, "SLURM_JOB_ID": str(job)}).master_port for job in range(800, 1000)}
    assert len(ports) == 200


def test_an_incomplete_slurm_step_is_named() -> None:
    with pytest.raises(RendezvousError, match="SLURM_STEP_NUM_TASKS is missing"):
        rendezvous({name: value for name, value in SLURM.items() if name != "SLURM_STEP_NUM_TASKS"})


def test_rank_0_publishes_its_port_and_the_others_wait_for_it(tmp_path: Path) -> None:
    env = {**SLURM, "STAGE_LAUNCHER_MEETING_FILE": str(tmp_path / "rdzv.json")}
    found: list[Rendezvous] = []
    waiting = threading.Thread(target=lambda: found.append(rendezvous(dict(env))))
    waiting.start()
    first = rendezvous({**env, "SLURM_PROCID": "0"})
    waiting.join(10)
    assert [place.master_port for place in found] == [first.master_port]
    assert json.loads((tmp_path / "rdzv.json").read_text())["port"] == first.master_port


NODELISTS = {
    "n1": "n1",
    "n[1-4]": "n1",
    "gpu[03-07,9],login1": "gpu03",
    "login1,gpu[03-07]": "login1",
    "rack[2-3]node[08-11]": "rack2node08",
    "a-b[7,9]": "a-b7",
}


@pytest.mark.parametrize(("nodelist", "host"), NODELISTS.items())
def test_first_host(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
def test_first_host_is_the_one_that_slurm_finds(cluster: Cluster) -> None:
    for nodelist, host in NODELISTS.items():
        assert cluster.run("scontrol", "show", "hostnames", nodelist).split()[0] == host


SAY = (
    "from stage_launchers import rendezvous, RendezvousError\n"
    + """
try:
    print(rendezvous(), flush=True)
except RendezvousError as error:
    print("refused:", error, flush=True)
"""
)


def test_mpirun_by_hand() -> None:
    require("mpirun")
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = ["mpirun", *root, "--oversubscribe", "-n", "3", sys.executable, "-c", SAY]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    places = sorted(re.findall(r"Rendezvous\([^)]*\)", output))  # not by line: ranks write into each other's lines
    assert len(places) == 3, output
    for rank, place in enumerate(places):
        assert f"rank={rank}, world_size=3, local_rank={rank}, master_addr='127.0.0.1'" in place
    assert len({place.split("master_port=")[1] for place in places}) == 1


def test_a_foreign_mpirun_is_refused() -> None:
    """What MPICH's mpirun sets, without a process manager that this MPI understands: each process would be alone."""
    env = {**os.environ, "MPI_LOCALNRANKS": "2", "PMI_SIZE": "2", "PMI_RANK": "0"}
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, env=env, timeout=120)
    assert "refused: mpirun started 2 processes, but MPI shows 1 to this one" in done.stdout, done.stderr

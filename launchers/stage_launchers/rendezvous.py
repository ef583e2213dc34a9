"""Who am I among the processes of this job, and where do we meet?

Sources, the nearest launcher first: torch's five variables; MPICH's process manager; `mpirun`; the step of a Slurm
allocation; another process manager that MPI knows of; none of them, and the process is alone. `mpirun` comes before
Slurm, as it uses `srun` to reach other nodes: its processes inherit the variables of a step that has one task per node
and is not theirs.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import warnings
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from stage_launchers.environment import MEETING_FILE, TORCH_VARIABLES, WORLD_SIZE

_MPIRUN = ("OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")  # set by Open MPI's and by MPICH's mpirun, not by srun
_HYDRA = (
    "PMI_RANK",
    "PMI_SIZE",
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
)  # MPICH's process manager, whatever MPI is loaded
_OTHER_MPI = ("PMIX_RANK", "PMI_RANK")
_SLURM_STEP = ("SLURM_PROCID", "SLURM_STEP_NODELIST")
_DECLARED_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_MEETING_SECONDS = 300.0
_POLL_SECONDS = 0.05


class RendezvousError(RuntimeError):
    """The environment says contradictory or incomplete things about the job."""


@dataclass(frozen=True)
class Rendezvous:
    """This process' place in the job, and the address of rank 0."""

    rank: int
    world_size: int
    local_rank: int
    master_addr: str
    master_port: int


def rendezvous(env: MutableMapping[str, str] = os.environ) -> Rendezvous:
    """Find this process' place, and set torch's five variables where they are not set.

    All five are always set afterwards, so no library falls back to a discovery of its own. MPI is initialised and
    finalised in here, so a rank that fails later does not wait for its peers in MPI's own clean-up at exit.

    Raises:
        RendezvousError: some but not all variables of a source are set, one is not a number, MPI cannot be loaded, or
            the job has another number of processes than its launcher was asked for.
    """
    place = _find(env)
    if not 0 <= place.rank < place.world_size:
        raise RendezvousError(f"RANK={place.rank} is not below WORLD_SIZE={place.world_size}")
    expected = env.get(WORLD_SIZE)
    if expected is not None and place.world_size != int(expected):
        raise RendezvousError(
            f"{expected} processes were asked for, but this one is in a job of {place.world_size}; "
            "check the host file, and that mpirun and mpi4py belong to the same MPI"
        )
    values = (place.rank, place.world_size, place.local_rank, place.master_addr, place.master_port)
    env.update({name: str(value) for name, value in zip(TORCH_VARIABLES, values, strict=True)})
    return place


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free on the interface of `host` a moment ago; "" for all interfaces."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _find(env: Mapping[str, str]) -> Rendezvous:
    if all(name in env for name in TORCH_VARIABLES):
        return _from_torch(env)
    if all(name in env for name in (*_HYDRA, MEETING_FILE)):
        return _from_hydra(env)
    if any(name in env for name in _MPIRUN):
        return _from_mpi(env)
    if all(name in env for name in _SLURM_STEP):
        return _from_slurm(env)
    if any(name in env for name in _OTHER_MPI):
        return _from_mpi(env)
    present = [name for name in TORCH_VARIABLES if name in env]
    if present:
        missing = [name for name in TORCH_VARIABLES if name not in env]
        raise RendezvousError(f"{', '.join(present)} set but {', '.join(missing)} missing; set all of them or none")
    return Rendezvous(0, 1, 0, "127.0.0.1", free_port())


def _from_torch(env: Mapping[str, str]) -> Rendezvous:
    rank, world, local, port = _numbers(env, "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
    return Rendezvous(rank, world, local, env["MASTER_ADDR"], port)


def _from_slurm(env: Mapping[str, str]) -> Rendezvous:
    """One task of `srun`: https://slurm.schedmd.com/srun.html, output environment variables."""
    rank, world, local = _numbers(env, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    host = first_host(env["SLURM_STEP_NODELIST"])
    if MEETING_FILE in env:
        _, port = _meet(Path(env[MEETING_FILE]), rank)
    else:  # started by hand: a number that all tasks can compute, other for the steps of other jobs
        job, step = _numbers(env, "SLURM_JOB_ID", "SLURM_STEP_ID")
        port = 15000 + (job * 37 + step) % 15000
    return Rendezvous(rank, world, local, host, port)


def _from_hydra(env: Mapping[str, str]) -> Rendezvous:
    """One process of MPICH's `mpirun`, without loading an MPI library: mpi4py may load that of another."""
    rank, world, local, on_this_host = _numbers(env, *_HYDRA)
    host, port = _meet(Path(env[MEETING_FILE]), rank)
    return Rendezvous(rank, world, local, "127.0.0.1" if on_this_host == world else host, port)


def _from_mpi(env: Mapping[str, str]) -> Rendezvous:
    """One process of MPI_COMM_WORLD; MPI carries the address of rank 0, and nothing after that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a foreign mpirun; the size says it below
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise RendezvousError(f"started by MPI, but mpi4py cannot load an MPI library: {reason}") from error
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    declared = next((env[name] for name in _DECLARED_SIZES if name in env), str(size))
    if size != int(declared):
        raise RendezvousError(
            f"mpirun started {declared} processes, but MPI shows {size} to this one: "
            f"mpi4py loads {MPI.Get_library_version().split(',')[0]}, which is not the MPI of that mpirun"
        )
    hosts = world.allgather(socket.gethostname())
    address = "127.0.0.1" if len(set(hosts)) == 1 else hosts[0]
    port = world.bcast(free_port("") if rank == 0 else None)
    MPI.Finalize()
    return Rendezvous(rank, size, hosts[:rank].count(hosts[rank]), address, port)


def first_host(nodelist: str) -> str:
    """The first host of Slurm's compact form: `gpu[03-07,9],login1` -> `gpu03`, as `scontrol show hostnames` has it."""
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodelist).split(",")[0]


def _meet(file: Path, rank: int) -> tuple[str, int]:
    """The host of rank 0 and a port there, which rank 0 chooses and publishes in the file."""
    if rank == 0:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({"host": socket.gethostname(), "port": free_port("")}))
        partial.replace(file)
    deadline = time.monotonic() + _MEETING_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise RendezvousError(f"rank 0 has not published its address in {file} within {_MEETING_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    published = json.loads(file.read_text())
    return str(published["host"]), int(published["port"])


def _numbers(env: Mapping[str, str], *names: str) -> list[int]:
    try:
        return [int(env[name]) for name in names]
    except KeyError as error:
        raise RendezvousError(f"{error.args[0]} is missing among the variables of the launcher") from error
    except ValueError as error:
        values = ", ".join(f"{name}={env[name]!r}" for name in names)
        raise RendezvousError(f"not a number among {values}") from error

"""Who am I among the processes of this job, and where do we meet?"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


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
    """Read torch's rendezvous variables; with none set, this process is alone and they are filled in.

    All five are always set afterwards, so no library falls back to a discovery of its own.

    Raises:
        RendezvousError: some but not all variables are set, or one is not a number.
    """
    present = [name for name in _VARIABLES if name in env]
    if not present:
        env.update(zip(_VARIABLES, ("0", "1", "0", "127.0.0.1", str(free_port())), strict=True))
    elif len(present) < len(_VARIABLES):
        missing = [name for name in _VARIABLES if name not in env]
        raise RendezvousError(f"{', '.join(present)} set but {', '.join(missing)} missing; set all of them or none")
    try:
        rank, world, local = (int(env[name]) for name in _VARIABLES[:3])
        port = int(env["MASTER_PORT"])
    except ValueError as error:
        values = ", ".join(f"{name}={env[name]!r}" for name in _VARIABLES)
        raise RendezvousError(f"not a number among {values}") from error
    if not 0 <= rank < world:
        raise RendezvousError(f"RANK={rank} is not below WORLD_SIZE={world}")
    return Rendezvous(rank, world, local, env["MASTER_ADDR"], port)


def free_port() -> int:
    """A TCP port that was free on the loopback interface a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Programs that take turns: one runs at a time, for one optimiser step, while the others wait and take no processor.

So whatever else the machine does meets all of them alike, and the steps of one round can be compared one by one.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import torch

from stage_launchers import Handle

Report = dict[str, Any]

_SECONDS_OF_A_TURN = 900.0  # then something hangs


class Seat:
    """A rank's side: run when it is its program's turn, and say how long that took.

    Args:
        port: of the `Referee` on this machine.
        program, rank: who sits here.
    """

    def __init__(self, port: int, program: str, rank: int) -> None:
        self._lines = socket.create_connection(("127.0.0.1", port)).makefile("rw", encoding="utf-8")
        self._say({"program": program, "rank": rank})
        self._wait()

    def end_turn(self, kind: str, **facts: object) -> None:
        """The turn is over; returns when the next one begins."""
        self._say({"kind": kind, **self._spent(), **facts})
        self._wait()

    def leave(self, **facts: object) -> None:
        """The last turn is over."""
        self._say({"kind": "leave", **self._spent(), **facts})

    def _spent(self) -> dict[str, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now, cpu = time.perf_counter(), time.process_time()
        return {"seconds": now - self._begun, "cpu_seconds": cpu - self._cpu_begun}

    def _say(self, facts: Report) -> None:
        self._lines.write(json.dumps(facts) + "\n")
        self._lines.flush()

    def _wait(self) -> None:
        if not self._lines.readline():
            sys.exit("whoever measures has gone")
        self._begun, self._cpu_begun = time.perf_counter(), time.process_time()


class Referee:
    """The other side: lets one program after the other have its turn."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._server.settimeout(1.0)
        self.port: int = self._server.getsockname()[1]

    def play(self, programs: Mapping[str, Handle], processes: int) -> dict[str, list[list[Report]]]:
        """Give turns until every program has left.

        Returns:
            by program, of each of its turns the report of every rank.

        Raises:
            RuntimeError: a process ended early.
        """
        seats = self._seat(programs, processes)
        turns: dict[str, list[list[Report]]] = {program: [] for program in programs}
        order = list(programs)
        while order:
            for program in list(order):
                reports = [_hear(program, seat) for seat in [_begin(rank) for rank in seats[program]]]
                turns[program].append(reports)
                if reports[0]["kind"] == "leave":
                    order.remove(program)
            order = order[1:] + order[:1]  # no program always follows the same other one
        return turns

    def _seat(self, programs: Mapping[str, Handle], processes: int) -> dict[str, list[TextIO]]:
        seats: dict[str, dict[int, TextIO]] = {program: {} for program in programs}
        while any(len(ranks) < processes for ranks in seats.values()):
            for program, handle in programs.items():
                if handle.poll() is not None:
                    raise RuntimeError(f"{program} ended before it began")
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            connection.settimeout(_SECONDS_OF_A_TURN)
            lines = connection.makefile("rw", encoding="utf-8")
            who = json.loads(lines.readline())
            seats[who["program"]][who["rank"]] = lines
        return {program: [ranks[rank] for rank in range(processes)] for program, ranks in seats.items()}


def _begin(seat: TextIO) -> TextIO:
    seat.write("begin\n")
    seat.flush()
    return seat


def _hear(program: str, seat: TextIO) -> Report:
    if not (line := seat.readline()):
        raise RuntimeError(f"{program} ended early")
    report: Report = json.loads(line)
    return report

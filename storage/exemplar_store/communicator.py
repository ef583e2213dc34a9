"""How processes that write one store together talk to each other.

The store needs one operation, and imports no library for it: `torch.distributed` has it as ``all_gather_object``,
mpi4py as ``allgather``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from exemplar_store.errors import GroupBroken, StoreError

T = TypeVar("T")


class Communicator(Protocol):
    """A fixed group of processes that make the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def world_size(self) -> int:
        """How many processes there are."""

    def gather(self, value: T) -> list[T]:
        """Every process's value (any object that pickles), in rank order, on every process.

        If a process has died, the others must get an error sooner or later: what the store does then is nothing.
        """


class Alone:
    """The group of one process."""

    rank = 0
    world_size = 1

    def gather(self, value: T) -> list[T]:
        return [value]


class MpiCommunicator:
    """An mpi4py communicator, such as ``MPI.COMM_WORLD``."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.world_size: int = communicator.Get_size()

    def gather(self, value: T) -> list[T]:
        gathered: list[T] = self._communicator.allgather(value)
        return gathered


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    """What one process made of its work: a result, unless there is a failure."""

    result: T
    failure: StoreError | None


def gathered(communicator: Communicator, value: T) -> list[T]:
    """Every process's value.

    Raises:
        GroupBroken: a process has died. The others are anywhere now, so nothing may be done together any more.
    """
    try:
        return communicator.gather(value)
    except Exception as error:
        raise GroupBroken(
            f"a process that writes along is gone ({type(error).__name__}: {error}); start all of them again"
        ) from error


def together(communicator: Communicator, work: Callable[[], T]) -> list[T]:
    """Do ``work`` on every process. Either it succeeds on all of them, or an error is raised on all of them.

    Returns:
        every process's result, in rank order.

    Raises:
        StoreError: it failed somewhere; the error of the lowest rank that failed.
        GroupBroken: a process has died or was interrupted.
    """
    mine: BaseException | None = None
    outcome: _Outcome[Any]
    try:
        outcome = _Outcome(work(), None)
    except BaseException as error:  # noqa: BLE001  (raised below, once the others know)
        mine = error
        outcome = _Outcome(None, _for_the_others(error, communicator.rank))
    outcomes: list[_Outcome[Any]] = gathered(communicator, outcome)
    if mine is not None:
        raise mine
    for one in outcomes:
        if one.failure is not None:
            raise one.failure
    return [one.result for one in outcomes]


def on_first(communicator: Communicator, work: Callable[[], T]) -> T:
    """Do ``work`` on the process of rank 0 alone; its result, or its error, on every process."""
    result: T = together(communicator, work if communicator.rank == 0 else _nothing)[0]
    return result


def _nothing() -> Any:
    return None


def _for_the_others(error: BaseException, rank: int) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if not isinstance(error, Exception):  # interrupted: this process takes no part in what follows a failure
        return GroupBroken(f"process {rank} was interrupted ({type(error).__name__}); start all of them again")
    return StoreError(f"process {rank} failed: {type(error).__name__}: {error}")

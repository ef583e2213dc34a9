"""How long work on a data set shows how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Track(Protocol):
    """Yields a sequence unchanged and shows progress under a description."""

    def __call__(self, sequence: Sequence[Item], description: str) -> Iterable[Item]: ...


def untold(sequence: Sequence[Item], description: str) -> Iterable[Item]:
    """A `Track` that shows nothing."""
    return sequence

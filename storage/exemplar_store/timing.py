"""How fast a store is read on this machine. The first round fills the page cache and is left out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exemplar_store.errors import StoreError
from exemplar_store.reader import BATCH, StoreReader

SINGLES = 32  # single reads in a round
FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Round:
    """Seconds that opening the store took, and reading 32 single exemplars, a batch, and all in batches."""

    open: float
    singles: tuple[float, ...]
    batch: float
    all: float


def time_reads(path: Path | str, threads: int | None, seconds: float) -> dict[str, Any]:
    """Open and read a store again and again; nothing is written.

    Args:
        threads: of the reader, see `StoreReader`.
        seconds: stop after the round in which they have passed; at least 3 rounds are made.

    Returns:
        medians in milliseconds (``open_ms``, ``read_p50_ms``, ``batch_ms``) and the 95th percentile ``read_p95_ms`` of
        single reads; ``batch_per_s`` and ``all_per_s`` exemplars per second, ``all_mb_per_s`` 10^6 coded bytes per
        second. A batch is 64 different exemplars at random, or all if there are fewer.

    Raises:
        StoreError: the store is empty or cannot be read.
    """
    with closing(StoreReader(path, threads=threads)) as reader:
        count, size, used = len(reader), int(reader.payload_bytes.sum()), reader.threads
    if not count:
        raise StoreError(f"{path}: holds no exemplars; there is nothing to read")
    dice, rounds, end = np.random.default_rng(0), list[Round](), time.perf_counter() + seconds
    while len(rounds) <= FEWEST_ROUNDS or time.perf_counter() < end:
        rounds.append(_round(path, threads, dice))
    counted = rounds[1:]
    singles = [one for each in counted for one in each.singles]
    batch, whole = (float(np.median(times)) for times in ([one.batch for one in counted], [one.all for one in counted]))
    return {
        "path": str(path),
        "exemplars": count,
        "threads": used,
        "batch": min(BATCH, count),
        "open_ms": round(1e3 * float(np.median([one.open for one in counted])), 3),
        "read_p50_ms": round(1e3 * float(np.median(singles)), 4),
        "read_p95_ms": round(1e3 * float(np.percentile(singles, 95)), 4),
        "batch_ms": round(1e3 * batch, 3),
        "batch_per_s": round(min(BATCH, count) / batch, 1),
        "all_per_s": round(count / whole, 1),
        "all_mb_per_s": round(size / whole / 1e6, 2),
    }


def _round(path: Path | str, threads: int | None, dice: np.random.Generator) -> Round:
    begun = time.perf_counter()
    with closing(StoreReader(path, threads=threads)) as reader:
        opened = time.perf_counter() - begun
        wanted = dice.integers(len(reader), size=SINGLES).tolist()
        batch = dice.choice(len(reader), min(BATCH, len(reader)), replace=False).tolist()
        return Round(
            opened,
            tuple(_seconds(reader.read, index) for index in wanted),
            _seconds(reader.read_many, batch),
            _seconds(deque, reader.read_all(), 0),
        )


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begun

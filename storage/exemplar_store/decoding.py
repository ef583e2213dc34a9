"""Decoding in threads: image decoders and zstd let go of the interpreter lock while they work."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

MOST = 4  # threads that are taken unasked; Python's own share of a read does not run in parallel
SMALLEST_SHARE = 8  # exemplars; handing over fewer costs more than it gains

Item = TypeVar("Item")
Result = TypeVar("Result")


class DecodingThreads:
    """Up to ``count`` threads, started when they are first needed and again after a fork, which threads do not survive.

    Raises:
        ValueError: ``count`` is less than 1.
    """

    def __init__(self, count: int | None) -> None:
        self.count = min(MOST, len(os.sched_getaffinity(0))) if count is None else count
        if self.count < 1:
            raise ValueError(f"threads is {self.count}; it must be 1 or more")
        self._pool: ThreadPoolExecutor | None = None
        self._process = -1

    def map(self, read: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``read`` of every item, in order. Each thread takes one run of neighbours, so that it reads on and on.

        The first item that fails, in their order, decides which error is raised.
        """
        share = max(SMALLEST_SHARE, math.ceil(len(items) / self.count))
        if len(items) <= share:
            return [read(item) for item in items]
        runs = [items[start : start + share] for start in range(0, len(items), share)]
        return list(chain.from_iterable(self._started().map(lambda run: [read(item) for item in run], runs)))

    def _started(self) -> ThreadPoolExecutor:
        if self._pool is None or self._process != os.getpid():
            self._process, self._pool = os.getpid(), ThreadPoolExecutor(self.count, "decode")
        return self._pool

"""Timing layouts side by side."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dist_mcl.modalities.image import patchify
from exemplar_store import Exemplar
from store_bench.layout import Item, Layout, Reader

BATCH = 64
WRITES = 3
BATCHES, SINGLES = 4, 64  # reads of a layout before it is the next one's turn
BUDGET = 30_000_000  # bytes
MOST_ERROR = 400.0  # mean squared error that a lossy codec may make in one exemplar


@dataclass
class Measurement:
    """What was measured of one layout; times in seconds.

    Attributes:
        error: mean squared error of the kept patches' pixels over all exemplars.
    """

    layout: Layout
    exemplars: int
    bytes: int
    files: int
    write: float
    error: float = 0.0
    opens: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """Plain numbers for the table and for JSON."""
        each = self.bytes / self.exemplars
        return {
            "name": self.layout.name,
            "note": self.layout.note,
            "bytes_per_exemplar": round(each, 1),
            "exemplars_in_30_mb": int(BUDGET / each),
            "psnr_db": round(10 * math.log10(255**2 / self.error), 2) if self.error else None,
            "files": self.files,
            "write_mb_per_s": round(self.bytes / self.write / 1e6, 1),
            "open_ms": round(1e3 * statistics.median(self.opens), 2),
            "read_p50_ms": round(1e3 * float(np.percentile(self.singles, 50)), 3),
            "read_p95_ms": round(1e3 * float(np.percentile(self.singles, 95)), 3),
            "batch_64_per_s": round(BATCH / statistics.median(self.batches)),
        }


def measure(layouts: Sequence[Layout], items: Sequence[Item], folder: Path, rounds: int) -> list[Measurement]:
    """Write all layouts, then read them in turns."""
    found = [_write(layout, items, folder / f"{number:02d}") for number, layout in enumerate(layouts)]
    dice = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for number, one in enumerate(found):
            reader = _timed(one.opens, one.layout.open, folder / f"{number:02d}")
            _read(one, reader, dice)
            if turn == 0:  # the first round fills caches
                one.error = statistics.fmean(_errors(one.layout.name, reader, items))
                one.opens, one.singles, one.batches = [], [], []
    return found


def _write(layout: Layout, items: Sequence[Item], folder: Path) -> Measurement:
    prepared = layout.prepare(items)
    seconds: list[float] = []
    for _ in range(WRITES):
        shutil.rmtree(folder, ignore_errors=True)
        _timed(seconds, layout.write, folder, prepared)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Measurement(layout, len(items), size, len(files), statistics.median(seconds))


def _read(one: Measurement, reader: Reader, dice: np.random.Generator) -> None:
    for index in dice.integers(one.exemplars, size=SINGLES).tolist():
        _timed(one.singles, reader.read, index)
    for _ in range(BATCHES):
        _timed(one.batches, reader.read_many, dice.choice(one.exemplars, BATCH, replace=False).tolist())


def _errors(name: str, reader: Reader, items: Sequence[Item]) -> Iterator[float]:
    """Mean squared error of each exemplar's kept patches.

    Raises:
        AssertionError: a layout that gives back something else than was put in has no place in the table.
    """
    for start in range(0, len(items), BATCH):
        several = range(start, min(start + BATCH, len(items)))
        for index, got in zip(several, reader.read_many(several), strict=True):
            error = _error(got.tokens if isinstance(got, Exemplar) else got, items[index])
            if error > MOST_ERROR:
                raise AssertionError(f"{name}: exemplar {index} came back changed")
            yield error


def _error(got: Any, item: Item) -> float:
    truth = item.exemplar.tokens
    if isinstance(got, np.ndarray):  # a whole picture
        patches = patchify(got).take(truth["image"].positions)
    elif got["text"] == truth["text"]:
        patches = got["image"]
    else:
        return math.inf
    if not np.array_equal(patches.positions, truth["image"].positions):
        return math.inf
    return float(np.square(patches.values.astype(float) - truth["image"].values).mean())


def _timed(seconds: list[float], work: Callable[..., Any], *arguments: Any) -> Any:
    begun = time.perf_counter()
    result = work(*arguments)
    seconds.append(time.perf_counter() - begun)
    return result

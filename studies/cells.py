"""Many independent runs, some at once. Each result is a file as soon as it is there: stop any time, go on later."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dist_mcl.files import write_json

Result = dict[str, Any]


class Cell(Protocol):
    """One of the runs; its class is at the top of a module, since it is sent to other processes."""

    @property
    def name(self) -> str:
        """Of the file with its result."""

    def run(self) -> Result:
        """Do it; the result is plain values."""


C = TypeVar("C", bound=Cell)


def run_missing(cells: Sequence[Cell], folder: Path, processes: int) -> None:
    """Run every cell that has no result in `folder` yet, in `processes` processes of one thread each."""
    missing = [cell for cell in cells if not _file(folder, cell).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited; too late once a library is loaded
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as bar,
        ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool,
    ):
        task = bar.add_task("runs", total=len(cells), completed=len(cells) - len(missing))
        running = {pool.submit(cell.run): cell for cell in missing}
        try:
            for done in as_completed(running):
                _keep(folder, running[done], done)
                bar.advance(task)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # waits for those that run
            for done, cell in running.items():
                if not done.cancelled() and done.exception() is None:
                    _keep(folder, cell, done)
            raise


def results(cells: Sequence[C], folder: Path) -> dict[C, Result]:
    """The results that there are."""
    return {
        cell: json.loads(_file(folder, cell).read_text(encoding="utf-8"))
        for cell in cells
        if _file(folder, cell).exists()
    }


def _keep(folder: Path, cell: Cell, done: Future[Result]) -> None:
    write_json(_file(folder, cell), done.result())


def _file(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.name}.json"

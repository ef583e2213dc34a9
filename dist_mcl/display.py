"""How a run looks on a terminal: live bars while it runs, a table when asked."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from dist_mcl.run_folder import Progress as StageProgress
from dist_mcl.run_folder import RunFolder, RunLock, StageFolder, read_progress

_SECONDS_BETWEEN_LINES = 15.0


class StageBars:
    """One bar per step of a stage on a terminal; a plain line now and then elsewhere, as in a log.

    Args:
        num_stages: of the run.
    """

    def __init__(self, num_stages: int) -> None:
        self._num_stages = num_stages
        self._console = Console()
        self._bars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[extra]:<28}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[int, str], TaskID] = {}
        self._line = ("", 0.0)

    def __enter__(self) -> StageBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, folder: StageFolder, progress: StageProgress) -> None:
        """Take in the latest progress of a stage."""
        name = f"stage {folder.number}/{self._num_stages} {progress.step}"
        extra = _extra(progress)
        if not self._console.is_terminal:
            self._print(name, progress, extra)
            return
        key = (folder.number, progress.step)
        if key not in self._tasks:
            self._finish_previous()
            self._tasks[key] = self._bars.add_task(name, total=None, extra="")
        total = progress.total or None
        self._bars.update(self._tasks[key], completed=progress.done, total=total, extra=extra)

    def _finish_previous(self) -> None:
        for task in self._bars.tasks:
            if task.total is None:
                self._bars.update(task.id, total=1, completed=1)
            else:
                self._bars.update(task.id, completed=task.total)

    def _print(self, name: str, progress: StageProgress, extra: str) -> None:
        last, when = self._line
        now = time.monotonic()
        if name != last or now - when >= _SECONDS_BETWEEN_LINES:
            counts = f" {progress.done}/{progress.total}" if progress.total else ""
            self._console.print(f"{name}{counts}  {extra}".rstrip(), highlight=False)
            self._line = (name, now)


def describe_start(run: RunFolder) -> str:
    """One line that says what begins or continues."""
    open_stages = [folder.number for folder in run.stages() if not folder.is_done()]
    if not open_stages:
        return f"{run.path}: every stage is done"
    verb = "continues with stage" if run.stage(1).state.attempt else "begins with stage"
    return f"{run.path}: {len(run.plan.class_order)} classes in {len(run.plan.stages)} stages, {verb} {open_stages[0]}"


def status_rows(path: Path) -> list[dict[str, object]]:
    """One record per stage of a run, for people and for scripts.

    Raises:
        UserError: the folder holds no run.
    """
    run = RunFolder.open(path)
    is_live = RunLock(path).is_held()
    return [_status(folder, is_live) for folder in run.stages()]


def status_table(rows: list[dict[str, object]]) -> Table:
    """The records of `status_rows` as a table."""
    table = Table("stage", "status", "step", "done", "loss", "samples/s", "attempts", "exemplars", "bytes", "reason")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table


def _status(folder: StageFolder, is_live: bool) -> dict[str, object]:
    state = folder.state
    status: str = "done" if folder.is_done() else state.status
    if status == "running" and not is_live:
        status = "interrupted"
    progress = read_progress(folder.attempt(state.attempt) / "progress.json") if status == "running" else None
    memory = folder.record("memorise") or {}
    rate = progress.samples_per_second if progress else None
    return {
        "stage": folder.number,
        "status": status,
        "step": progress.step if progress else None,
        "done": f"{progress.done}/{progress.total}" if progress and progress.total else None,
        "loss": round(progress.loss, 4) if progress and progress.loss is not None else None,
        "samples_per_second": round(rate, 1) if rate else None,
        "attempts": state.attempt,
        "exemplars": memory.get("exemplars"),
        "bytes": memory.get("bytes"),
        "reason": state.reason,
    }


def _extra(progress: StageProgress) -> str:
    parts = []
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.samples_per_second is not None:
        parts.append(f"{progress.samples_per_second:.0f} samples/s")
    return "  ".join(parts)

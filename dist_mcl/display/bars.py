"""Live bars of a run that goes on in this terminal."""

from __future__ import annotations

import time
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

from dist_mcl.run_folder import Progress as StageProgress
from dist_mcl.run_folder import RunFolder, StageFolder

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

    def stopping(self, seconds: float) -> None:
        """Say that workers are waited for, at most so long, which were told to save and end; the bars stand still."""
        if self._console.is_terminal:
            self._bars.stop()
        self._console.print(
            f"stopping: waits for the workers to finish their step and save, at most {seconds:.0f} s; "
            "Ctrl-C again does not wait",
            soft_wrap=True,
            highlight=False,
        )

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
    arrive = "modalities" if run.experiment.scenario.kind == "modality_incremental" else "classes"
    return f"{run.path}: {len(run.plan.class_order)} {arrive} in {len(run.plan.stages)} stages, {verb} {open_stages[0]}"


def _extra(progress: StageProgress) -> str:
    parts = []
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.samples_per_second is not None:
        parts.append(f"{progress.samples_per_second:.0f} samples/s")
    return "  ".join(parts)

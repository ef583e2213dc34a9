"""The table of `mcl status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from dist_mcl.run_folder import Progress, RunFolder, RunLock, StageFolder, StageState, read_progress
from dist_mcl.units import duration, size
from stage_launchers.queue import QueuedJob

Row = dict[str, object]
# What the cluster says of the run's jobs, by job number, without those that it has forgotten.
Queue = Mapping[str, QueuedJob]
_SECONDS_BETWEEN_LOOKS = 1.0
_STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "damaged": "red",
    "dropped": "red",
}


def status_rows(run: RunFolder, queue: Queue | None = None) -> list[Row]:
    """One record per stage of a run, for people and for scripts.

    Args:
        queue: None when the cluster was not asked, or does not answer.
    """
    is_live = RunLock(run.path).is_held()
    return [_row(folder, is_live, queue) for folder in run.stages()]


def status_table(rows: list[Row]) -> Table:
    """The records of `status_rows` as a table, without the columns that say nothing."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    shown = [name for name in rows[0] if name == "stage" or any(row[name] not in (None, 0) for row in rows)]
    for name in shown:
        is_text = any(isinstance(row[name], str) for row in rows)
        table.add_column(name.replace("_", " "), justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in shown), style=_STYLES.get(str(row["status"])))
    return table


def watch_status(look: Callable[[], list[Row]]) -> None:
    """Show the table again and again until no stage is running or submitted, or Ctrl-C."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            rows = look()
            live.update(Group(status_table(rows)), refresh=True)
            if not any(row["status"] in ("running", "submitted") for row in rows):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _row(folder: StageFolder, is_live: bool, queue: Queue | None) -> Row:
    state = folder.state
    job = queue.get(state.job) if queue and state.job else None
    status = _status(folder, state, is_live, job, is_known=queue is not None)
    progress = read_progress(folder.attempt(state.attempt) / "progress.json") if status == "running" else None
    memory = folder.record("memorise") or {}
    return {
        "stage": folder.number,
        "status": status,
        **_progress(progress),
        "attempts": state.attempt,
        "job": f"{state.job} {_words(job)}" if job else state.job,
        "exemplars": memory.get("exemplars"),
        "bytes": memory.get("bytes"),
        "reason": state.reason,
    }


def _status(folder: StageFolder, state: StageState, is_live: bool, job: QueuedJob | None, is_known: bool) -> str:
    """What the run folder says, corrected by who works on the run, and by what the cluster knows of the stage's job."""
    if folder.is_done():
        return "done"
    if folder.damage():
        return "damaged"
    is_queued = job is not None and not job.is_over
    if state.status == "running":
        if is_live or (job is not None and job.state == "RUNNING"):
            return "running"
        return "submitted" if is_queued else "interrupted"
    if state.status in ("submitted", "yielded", "waiting") and is_queued:
        return "submitted"
    return "dropped" if state.status == "submitted" and is_known else state.status


def _words(job: QueuedJob) -> str:
    return job.state.lower() + (f" ({job.reason})" if job.state == "PENDING" else "")


def _progress(progress: Progress | None) -> Row:
    if progress is None:
        return dict.fromkeys(("step", "done", "loss", "samples_per_second", "eta"))
    rate = progress.samples_per_second
    return {
        "step": progress.step,
        "done": f"{progress.done}/{progress.total}" if progress.total else None,
        "loss": round(progress.loss, 4) if progress.loss is not None else None,
        "samples_per_second": round(rate, 1) if rate else None,
        "eta": _eta(progress),
    }


def _eta(progress: Progress) -> float | None:
    """Seconds until the step ends, if it goes on as it did; None before there is something to judge by."""
    if not progress.done:
        return None
    per_unit = (progress.time - progress.begun) / progress.done
    return round(per_unit * (progress.total - progress.done), 1)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "bytes" and isinstance(value, int):
        return size(value)
    return duration(value) if name == "eta" and isinstance(value, float) else str(value)

"""The table of `mcl status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from dist_mcl.run_folder import Progress, RunFolder, RunLock, StageFolder, read_progress
from dist_mcl.units import duration, size

Row = dict[str, object]
# What the cluster says of its jobs, by job number; empty for a run that was not submitted.
Queue = Mapping[str, str]
_SECONDS_BETWEEN_LOOKS = 1.0
_STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "damaged": "red",
}


def status_rows(run: RunFolder, queue: Queue | None = None) -> list[Row]:
    """One record per stage of a run, for people and for scripts.

    Args:
        queue: the state of the run's jobs, by job number.
    """
    is_live = RunLock(run.path).is_held()
    return [_row(folder, is_live, queue or {}) for folder in run.stages()]


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
            if not any(row["status"] in ("running", "submitted", "yielded") for row in rows):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _row(folder: StageFolder, is_live: bool, queue: Queue) -> Row:
    state = folder.state
    status: str = state.status
    if folder.is_done():
        status = "done"
    elif folder.damage():
        status = "damaged"
    in_queue = queue.get(state.job) if state.job else None
    if status == "running" and not is_live and in_queue is None:
        status = "interrupted"
    progress = read_progress(folder.attempt(state.attempt) / "progress.json") if status == "running" else None
    memory = folder.record("memorise") or {}
    return {
        "stage": folder.number,
        "status": status,
        **_progress(progress),
        "attempts": state.attempt,
        "job": f"{state.job} {in_queue}" if in_queue else state.job,
        "exemplars": memory.get("exemplars"),
        "bytes": memory.get("bytes"),
        "reason": state.reason,
    }


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

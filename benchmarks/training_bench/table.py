"""The benchmark's numbers for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def print_tables(facts: dict[str, Any]) -> None:
    """Speed, memory, checkpoints, and the hand-over from stage to stage."""
    console = Console(highlight=False, width=None if Console().is_terminal else 130)
    rows = facts["rows"]
    console.print(facts["device"])
    _print(console, rows, "A step", _SPEED)
    _print(console, rows, "Memory of a rank, MiB beyond what it held before", _MEMORY)
    _print(console, rows, "A checkpoint", _CHECKPOINT)
    for one in facts["handovers"]:
        parts = ", ".join(f"{part} {one[part]:.1f}" for part in ("start", "libraries", "data", "first step"))
        console.print(
            f"end of a stage to the first step of the next, {one['processes']} processes: "
            f"{one['seconds']:.1f} s ({parts})"
        )


def _print(console: Console, rows: list[Row], title: str, columns: dict[str, Any]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("ZeRO", "processes", "program"):
        table.add_column(name, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in rows:
        setting = (row["zero_stage"], row["processes"])
        if before not in (None, setting):
            table.add_row()
        place = ("", "") if setting == before else tuple(map(str, setting))
        table.add_row(*place, row["program"], *(show(row) for show in columns.values()))
        before = setting
    console.print(table)


def _range(values: list[float], scale: float, digits: int) -> str:
    return " to ".join(f"{value * scale:.{digits}f}" for value in values)


def _mib(name: str) -> Any:
    return lambda row: f"{row[name] / 2**20:,.0f}"


_SPEED = {
    "ms": lambda row: f"{1000 * row['step_seconds']:.0f}",
    "quartiles": lambda row: _range(row["step_seconds_quartiles"], 1000, 0),
    "tokens/s": lambda row: f"{row['tokens_per_second']:,.0f}",
    "ours / this": lambda row: f"{row['ours_by_this']:.3f}",
    "its quartiles": lambda row: _range(row["ours_by_this_quartiles"], 1, 3),
    "of CPU time": lambda row: f"{row['ours_by_this_cpu']:.3f}",
    "losses differ": lambda row: f"{row['loss_differs']:.0e}",
}
_MEMORY = {
    "model": _mib("bytes_model"),
    "frozen weights, formula": _mib("formula_bytes_frozen"),
    "between steps": _mib("bytes_between_steps"),
    "formula": _mib("formula_bytes_between_steps"),
    "peak": _mib("bytes_peak"),
}
_CHECKPOINT = {
    "written in ms": lambda row: f"{1000 * row['save_seconds']:.0f}",
    "MiB": lambda row: f"{row['checkpoint_bytes'] / 2**20:.1f}",
    "model built to resumed step, s": lambda row: f"{row['resume_seconds']:.1f}",
}

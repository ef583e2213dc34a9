"""How runs side by side look: one table where it fits, else results by letters, and what the letters are set to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from string import ascii_uppercase
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dist_mcl.display.compare import Outcome, Row
from dist_mcl.units import UNDEFINED, duration, percent, points, size

_IN_PERCENT = ("average", "last")
_BETWEEN = 3  # letters between two columns

# The cells of a column by its name, one for each row of a comparison.
Columns = Mapping[str, Sequence[str]]


def print_comparison(rows: Sequence[Row], console: Console) -> None:
    """One line a row; several seeds are shown as mean ± standard deviation. No number is ever cut.

    Where that is too wide, rows have letters, and their folders and settings are listed below the results.
    """
    settings, results = _settings(rows), _results(rows)
    if _width({**settings, **results}) <= console.width:
        console.print(_table(settings, results))
        return
    letters = {"": [_letter(number) for number in range(len(rows))]}
    for part in _parts(results, console.width - _width(letters)):
        console.print(_table(letters, part))
    console.print()
    for name, values in ({"run": _folders(rows)} | settings).items():
        console.print(f"{name}: {'; '.join(_who(letters[''], values))}", markup=False, highlight=False)


def _settings(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Where there is nothing in which they differ, their folders."""
    fields = list(rows[0].settings)
    if not fields:
        return {"run": _folders(rows)}
    return {name: [_value(row.settings[name]) for row in rows] for name in fields}


def _folders(rows: Sequence[Row]) -> list[str]:
    return [", ".join(one.run for one in row.outcomes) for row in rows]


def _results(rows: Sequence[Row]) -> dict[str, list[str]]:
    each = [row.outcomes for row in rows]
    names = dict.fromkeys(name for runs in each for one in runs for name in one.results)
    columns = {"seeds": [", ".join(str(one.seed) for one in runs) for runs in each]}
    columns |= {name: [_spread(name, runs) for runs in each] for name in names}
    if any(one.store_bytes for runs in each for one in runs):
        columns["exemplars"] = [f"{mean(one.exemplars for one in runs):,.0f}" for runs in each]
        columns["bytes"] = [size(round(mean(one.store_bytes for one in runs))) for runs in each]
    return columns | {"time": [duration(mean(one.seconds for one in runs)) for runs in each]}


def _parts(columns: Columns, width: int) -> Iterator[Columns]:
    """The columns in their order, as many at a time as fit; a single one may be wider."""
    part: dict[str, Sequence[str]] = {}
    for name, cells in columns.items():
        if part and _BETWEEN + _width({**part, name: cells}) > width:
            yield part
            part = {}
        part[name] = cells
    yield part


def _width(columns: Columns) -> int:
    widths = [max(map(cell_len, (name, *cells))) for name, cells in columns.items()]
    return sum(widths) + _BETWEEN * (len(widths) - 1)


def _table(left: Columns, right: Columns) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    for cells in zip(*left.values(), *right.values(), strict=True):
        table.add_row(*map(escape, cells))
    return table


def _letter(number: int) -> str:
    """A to Z, then AA."""
    ahead, own = divmod(number, len(ascii_uppercase))
    return (_letter(ahead - 1) if ahead else "") + ascii_uppercase[own]


def _who(letters: Sequence[str], values: Sequence[str]) -> list[str]:
    """By value, the rows that have it: `A, C mean`."""
    return [
        f"{', '.join(letter for letter, own in zip(letters, values, strict=True) if own == value)} {value}"
        for value in dict.fromkeys(values)
    ]


def _value(value: Any) -> str:
    return UNDEFINED if value is None else str(value).replace("\n", "\\n")


def _spread(name: str, runs: Sequence[Outcome]) -> str:
    shown = percent if name in _IN_PERCENT else points
    fractions = [one.results.get(name) for one in runs]
    known = [value for value in fractions if value is not None]
    if len(known) < 2 or len(known) < len(fractions):
        return shown(fractions[0])
    return f"{points(mean(known))} ± {shown(stdev(known))}"

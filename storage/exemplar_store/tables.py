"""Facts about a store as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, JustifyMethod
from rich.progress_bar import ProgressBar
from rich.table import Table

BARS = " ▁▂▃▄▅▆▇█"
LEFT = ("modality", "codec", "class", "stage", "part", "generation", "stages")
PIPE_WIDTH = 120  # columns, when the output is no terminal


def print_summary(facts: Mapping[str, Any]) -> None:
    """`exemplar-store info`: see `summary.summarise` for the fields."""
    console = _console()
    console.print(
        f"[bold]{facts['path']}[/]  run {facts['run_id']}, format {facts['format']}, generation "
        f"{facts['generation']}, stages {_several(facts['stages'])}"
    )
    used, budget, count = facts["used_bytes"], facts["budget_bytes"], facts["exemplars"]
    console.print(
        f"{used:,} of {budget:,} bytes in use ({100 * used / budget:.1f} %): payload "
        f"{facts['payload_bytes']:,}, metadata {facts['metadata_bytes']:,}"
    )
    console.print(ProgressBar(budget, used, width=60), "")
    console.print(f"{count:,} exemplars of {facts['classes']} classes" + _per_exemplar(facts))
    if count:
        tables = (
            _modalities(facts["by_modality"]),
            _groups(facts["by_stage"], "stage"),
            _groups(facts["by_class"], "label"),
        )
        for table in tables:
            console.print("", table)


def print_listing(records: Sequence[Mapping[str, Any]]) -> None:
    """`exemplar-store ls`: see `summary.listing` for the fields."""
    table = Table(box=None, pad_edge=False)
    for name in ("index", "sample", "class", "stage", "rank", "score", "bytes", "whole", "kept"):
        table.add_column(name, justify="left" if name in ("class", "kept") else "right", no_wrap=True)
    for one in records:
        kept = "  ".join(f"{name} {some}/{full}" for name, (some, full) in one["kept"].items())
        table.add_row(
            str(one["index"]),
            str(one["sample_id"]),
            one["class"] or str(one["label"]),
            str(one["stage"]),
            str(one["rank"]),
            f"{one['score']:.4f}",
            f"{one['payload_bytes']:,}",
            f"{one['baseline_bytes']:,}" if one["baseline_bytes"] else "-",
            kept,
        )
    _console().print(table)


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows of facts; whole numbers get their thousands marked, None is a dash."""
    table = _table(*names)
    for row in rows:
        table.add_row(*("-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    _console().print(table)


def print_log(records: Sequence[Mapping[str, Any]]) -> None:
    """`exemplar-store log`: see `history.generation_log` for the fields."""
    names = ("generation", "stages", "exemplars", "added", "removed", "segments", "bytes")
    rows = []
    for one in records:
        name = f"{one['generation']}{' (head)' if one['head'] else ''}"
        facts = [_several(one["stages"]), *(one[key] for key in names[2:])] if "stages" in one else [one["problem"]]
        rows.append([name, *facts])
    print_table(names, rows)


def print_difference(facts: Mapping[str, Any]) -> None:
    """`exemplar-store diff`: see `history.difference` for the fields."""
    names = ("class", "before", "after", "added", "removed")
    rows = [[one["name"] or str(one["label"]), *(one[key] for key in names[1:])] for one in facts["by_class"]]
    totals = (facts["from"]["exemplars"], facts["to"]["exemplars"], len(facts["added"]), len(facts["removed"]))
    print_table(names, [*rows, ["all", *totals], ["bytes", facts["from"]["bytes"], facts["to"]["bytes"], None, None]])


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _per_exemplar(facts: Mapping[str, Any]) -> str:
    each, whole = facts["bytes_per_exemplar"], facts["baseline_bytes_per_exemplar"]
    if each is None:
        return ""
    saved = f"; stored whole: {whole:,.0f}, {whole / each:.2f} times as much" if whole else ""
    return f", {each:,.0f} bytes each, everything counted{saved}"


def _modalities(modalities: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        "modality", "codec", "exemplars", "payload bytes", "bytes each", "kept", "of tokens", "keep ratio 0 to 1"
    )
    for one in modalities:
        ratio = "-" if one["keep_ratio"] is None else f"{100 * one['keep_ratio']:.0f} %"
        table.add_row(
            one["name"],
            _several(one["codecs"]),
            f"{one['exemplars']:,}",
            f"{one['payload_bytes']:,}",
            f"{one['payload_bytes'] / max(1, one['exemplars']):,.0f}",
            ratio,
            f"{one['tokens_in_full']:,}",
            f"|{_bars(one['keep_ratio_histogram'])}|",
        )
    return table


def _groups(groups: Sequence[Mapping[str, Any]], key: str) -> Table:
    table = _table("class" if key == "label" else key, "exemplars", "payload bytes", "bytes each")
    for one in groups:
        table.add_row(
            one.get("name") or str(one[key]),
            f"{one['exemplars']:,}",
            f"{one['payload_bytes']:,}",
            f"{one['payload_bytes'] / one['exemplars']:,.0f}",
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        side: JustifyMethod = "left" if name in LEFT else "right"
        table.add_column(name, justify=side, no_wrap=True)
    return table


def _bars(histogram: Sequence[int]) -> str:
    top = max(histogram) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in histogram)


def _several(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"

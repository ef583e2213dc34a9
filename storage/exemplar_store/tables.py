"""Facts about a store as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from exemplar_store.errors import shown

BARS = " ▁▂▃▄▅▆▇█"
LEFT = ("what", "modality", "codec", "class", "stage", "part", "generation", "stages")
PIPE_WIDTH = 120  # columns, when the output is no terminal


def print_summary(facts: Mapping[str, Any]) -> None:
    """`exemplar-store info`: see `summary.summarise` for the fields."""
    console = _console()
    console.print(
        f"[bold]{_plain(facts['path'])}[/]  run {_plain(facts['run_id'])}, format {facts['format']}, generation "
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
            _codecs(facts["by_codec"]),
            _groups(facts["by_stage"], "stage"),
            _groups(facts["by_class"], "label"),
        )
        for table in tables:
            console.print("", table)


def print_listing(records: Sequence[Mapping[str, Any]], left: int, following: int) -> None:
    """`exemplar-store ls`: see `summary.listing` for the fields.

    Args:
        left: how many more there are.
        following: the offset at which they begin.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("index", "sample", "class", "stage", "rank", "score", "bytes", "whole", "codec", "kept"):
        table.add_column(name, justify="left" if name in ("class", "codec", "kept") else "right", no_wrap=True)
    for one in records:
        kept = "  ".join(f"{name} {some}/{full}" for name, (some, full) in one["kept"].items())
        table.add_row(
            str(one["index"]),
            str(one["sample_id"]),
            _plain(", ".join([one["class"] or str(one["label"]), *one["further_classes"]])),
            str(one["stage"]),
            str(one["rank"]),
            f"{one['score']:.4f}",
            f"{one['payload_bytes']:,}",
            f"{one['baseline_bytes']:,}" if one["baseline_bytes"] else "-",
            " ".join(one["codecs"].values()),
            kept,
        )
    console = _console()
    console.print(table)
    if left:
        console.print(f"{left:,} more: --offset {following}", style="dim")


def print_timing(facts: Mapping[str, Any]) -> None:
    """`exemplar-store bench`: see `timing.time_reads` for the fields."""
    console = _console()
    console.print(f"{facts['exemplars']:,} exemplars, {facts['threads']} threads, every read checked and decoded")
    table = _table("what", "time", "rate")
    table.add_row("open", f"{facts['open_ms']:.2f} ms", "")
    single = f"{facts['read_p50_ms']:.3f} ms, 95 % below {facts['read_p95_ms']:.3f} ms"
    table.add_row("read one", single, "")
    batch = facts["batch"]
    table.add_row(f"read {batch} at random", f"{facts['batch_ms']:.2f} ms", f"{facts['batch_per_s']:,.0f} exemplars/s")
    table.add_row("read all", "", f"{facts['all_per_s']:,.0f} exemplars/s, {facts['all_mb_per_s']:,.1f} MB/s coded")
    console.print(table)


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
        facts = [_several(one["stages"]), *(one[key] for key in names[2:])] if "stages" in one else ["damaged"]
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
    table = _table("modality", "exemplars", "payload bytes", "bytes each", "kept", "of tokens", "keep ratio 0 to 1")
    for one in modalities:
        ratio = "-" if one["keep_ratio"] is None else f"{100 * one['keep_ratio']:.0f} %"
        table.add_row(
            one["name"],
            f"{one['exemplars']:,}",
            f"{one['payload_bytes']:,}",
            f"{one['payload_bytes'] / max(1, one['exemplars']):,.0f}",
            ratio,
            f"{one['tokens_in_full']:,}",
            f"|{_bars(one['keep_ratio_histogram'])}|",
        )
    return table


def _codecs(codecs: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("codec", "modality", "exemplars", "payload bytes", "bytes each")
    for one in codecs:
        count, size = one["exemplars"], one["payload_bytes"]
        table.add_row(one["codec"], one["modality"], f"{count:,}", f"{size:,}", f"{size / count:,.0f}")
    return table


def _groups(groups: Sequence[Mapping[str, Any]], key: str) -> Table:
    table = _table("class" if key == "label" else key, "exemplars", "payload bytes", "bytes each")
    for one in groups:
        table.add_row(
            _plain(one.get("name") or one[key]),
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


def _plain(name: object) -> str:
    """A name that came out of a store: neither markup nor a terminal's control sequence."""
    return escape(shown(name, 200))


def _bars(histogram: Sequence[int]) -> str:
    top = max(histogram) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in histogram)


def _several(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"

"""The benchmark's numbers for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

COLUMNS = {
    "bytes_per_exemplar": "bytes each",
    "exemplars_in_30_mb": "in 30 MB",
    "files": "files",
    "write_mb_per_s": "write MB/s",
    "open_ms": "open ms",
    "read_p50_ms": "read p50 ms",
    "read_p95_ms": "p95 ms",
    "batch_64_per_s": "batch 64, /s",
}


def print_table(facts: dict[str, Any]) -> None:
    """The table, and what follows from it for the store."""
    console = Console(highlight=False, width=None if Console().is_terminal else 170)
    console.print(
        f"{facts['exemplars']:,} exemplars of {facts['picture_side']} px, {100 * facts['patches_kept_share']:.1f} % of "
        f"patches kept, {facts['coded_bytes']:,.0f} coded bytes each"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("layout", no_wrap=True)
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("note", no_wrap=True)
    for row in facts["layouts"]:
        table.add_row(row["name"], *(f"{row[name]:,}" for name in COLUMNS), row["note"])
    console.print(table)
    for name, why in facts["missing"].items():
        console.print(f"{name}: {why}", markup=False)
    _print_claims(console, facts)


def _print_claims(console: Console, facts: dict[str, Any]) -> None:
    rows = {row["name"].split()[0]: row for row in reversed(facts["layouts"])}  # the first of a name stays
    own, whole = rows["exemplar_store"], rows["whole"]
    overhead = own["bytes_per_exemplar"] / facts["coded_bytes"] - 1
    console.print(
        f"exemplar_store: {whole['bytes_per_exemplar'] / own['bytes_per_exemplar']:.2f} times the exemplars of whole "
        f"JPEG q90 in the same bytes; {100 * overhead:.2f} % above the coded bytes"
    )
    for name in ("zarr-python", "tensorstore", "MDS", "Lance", "WebDataset", "Arrow", "safetensors"):
        if name in rows:
            ratio = own["batch_64_per_s"] / rows[name]["batch_64_per_s"]
            console.print(f"batch of 64: {ratio:.2f} times {rows[name]['name']}")

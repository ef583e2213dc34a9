"""The benchmark's numbers for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from store_bench.own import THREADS

COLUMNS = {
    "bytes_per_exemplar": "bytes each",
    "exemplars_in_30_mb": "in 30 MB",
    "psnr_db": "PSNR dB",
    "files": "files",
    "write_mb_per_s": "write MB/s",
    "open_ms": "open ms",
    "read_p50_ms": "read p50 ms",
    "read_p95_ms": "p95 ms",
    "batch_64_per_s": "batch 64, /s",
}

PEERS = ("zarr-python", "tensorstore", "MDS", "Lance", "WebDataset", "safetensors", "Arrow")


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
        table.add_row(
            row["name"], *("exact" if row[name] is None else f"{row[name]:,}" for name in COLUMNS), row["note"]
        )
    console.print(table)
    for name, why in facts["missing"].items():
        console.print(f"{name}: {why}", markup=False)
    _print_claims(console, facts)


def _print_claims(console: Console, facts: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in facts["layouts"]}
    own, whole = rows["exemplar_store jpeg q90"], rows["whole JPEG q90 files"]
    for name in (own["name"], "exemplar_store webp q85"):
        times = whole["bytes_per_exemplar"] / rows[name]["bytes_per_exemplar"]
        better = rows[name]["psnr_db"] - whole["psnr_db"]
        console.print(
            f"{name}: {times:.2f} times the exemplars of whole JPEG q90 in the same bytes, PSNR {better:+.2f} dB"
        )
    overhead = own["bytes_per_exemplar"] / facts["coded_bytes"] - 1
    console.print(f"exemplar_store: {100 * overhead:.2f} % above the coded bytes")
    threaded = next(row for name, row in rows.items() if name.endswith("threads"))
    for name, row in rows.items():
        if name.startswith(PEERS):
            one, many = (mine["batch_64_per_s"] / row["batch_64_per_s"] for mine in (own, threaded))
            console.print(f"batch of 64: {one:.2f} times {name} in one thread, {many:.2f} times in {THREADS}")

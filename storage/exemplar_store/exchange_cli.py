"""Commands of `exemplar-store` that carry exemplars to and from other formats: export, import."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from exemplar_store.options import AsJson, OfClass, OfStage, StorePath, class_id, print_json

app = typer.Typer()
Item = TypeVar("Item")


class Format(StrEnum):
    """What `export` writes."""

    NPZ = "npz"
    WEBDATASET = "webdataset"
    ARROW = "arrow"


@app.command(epilog="Example: exemplar-store export runs/quickstart/exemplars memory.tar --format webdataset")
def export(
    store: StorePath,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)],
    file_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="npz: one array per field. webdataset: a tar, an exemplar after the other. arrow: an IPC file.",
            show_default=False,
        ),
    ],
    label: OfClass = None,
    stage: OfStage = None,
    as_json: AsJson = False,
) -> None:
    """Write decoded exemplars to a file of another format."""
    from exemplar_store.exports import EXPORTS, unfinished
    from exemplar_store.reader import StoreReader

    reader = StoreReader(store)
    chosen = reader.select(class_id(reader, label), stage).tolist()
    with unfinished(target) as part:
        EXPORTS[file_format.value](part, reader, _bar("exporting", chosen))
    size = target.stat().st_size
    if as_json:
        print_json({"file": str(target), "format": file_format.value, "exemplars": len(chosen), "bytes": size})
        return
    sys.stdout.write(f"{target}: {len(chosen)} exemplars, {size:,} bytes\n")


@app.command("import", epilog="Example: exemplar-store import photos/ memory --budget 30MB")
def import_(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder with pictures and samples.jsonl.", show_default=False),
    ],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store to create.", show_default=False)],
    budget: Annotated[str, typer.Option(help="Bytes that the store may take, e.g. 30MB.", show_default=False)],
    run_id: Annotated[str, typer.Option("--run", help="Name of the run that the store will belong to.")] = "import",
    size: Annotated[int, typer.Option(min=1, max=8192, help="Side in pixels that pictures are cut to.")] = 224,
    patch: Annotated[int, typer.Option(min=1, max=256, help="Side of a patch in pixels.")] = 16,
    quality: Annotated[int, typer.Option(min=1, max=95, help="JPEG quality of the patches.")] = 90,
    tokenizer: Annotated[
        Path | None, typer.Option(help="tokenizer.json, for samples with a text.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a store of pictures and texts.

    samples.jsonl has a JSON object a line: "label" (number or name), "image" (path in the folder) or "text" or
    "tokens" (ids) or several of them; and if need be "kept" (numbers of the patches to keep), "kept_tokens",
    "further_labels", "question", "answer", "sample_id", "rank", "stage", "score".
    """
    from exemplar_store.imports import Importer, commit_all
    from exemplar_store.samples import parse_bytes, read_samples

    budget_bytes = parse_bytes(budget)
    importer = Importer(folder, size, patch, quality, tokenizer)
    samples, names = read_samples(folder)
    encoded = [importer.encode(sample) for sample in _bar("reading", samples)]
    made = commit_all(store, budget_bytes, run_id, encoded, names)
    facts = {
        "path": str(made.path),
        "samples": len(samples),
        "exemplars": sum(ref.exemplars for ref in made.head.segments),
        "used_bytes": made.used_bytes,
        "budget_bytes": made.budget_bytes,
    }
    if as_json:
        print_json(facts)
        return
    sys.stdout.write(
        f"{made.path}: {facts['exemplars']} of {len(samples)} samples in {made.used_bytes:,} of "
        f"{made.budget_bytes:,} bytes\n"
    )


def _bar(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items; meanwhile a progress bar, on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, what, len(items), console=console, disable=not console.is_terminal)

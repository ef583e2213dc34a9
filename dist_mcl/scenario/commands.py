"""`mcl data`: list and rebuild the data sets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from dist_mcl.errors import UserError
from dist_mcl.scenario.builders.progress import Item
from dist_mcl.scenario.tables import read_objects, read_photographs, shipped_folder

NAMES = ("emoji",)
app = typer.Typer(help="The data sets that come with the package.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what is there: classes, samples, photographs, bytes, licence.

    Example: mcl data list --json
    """
    facts = [_facts(name) for name in NAMES]
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for fact in facts:
        typer.echo("\n".join(f"{key:17} {value}" for key, value in fact.items()) + "\n")


@app.command("prepare")
def prepare_command(
    name: Annotated[str, typer.Argument(help="The data set to rebuild.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write; the shipped copy when left out.")] = None,
) -> None:
    """Rebuild a data set from the packages it comes from (npm, and apt-get on Debian 12).

    Example: mcl data prepare emoji --output rebuilt
    """
    if name not in NAMES:
        raise UserError(f"data set {name!r}: not known; choose from {', '.join(NAMES)}")
    from dist_mcl.scenario.builders.prepare import prepare_emoji  # the renderer and scikit-learn take seconds to import

    folder = output or shipped_folder(name)
    prepare_emoji(folder, _track)
    typer.echo(f"{name}: {folder}")


def _track(sequence: Sequence[Item], description: str) -> Iterable[Item]:
    console = Console(stderr=True)
    if not console.is_terminal:
        typer.echo(f"{description} ({len(sequence)})", err=True)
    return track(sequence, description, console=console, disable=not console.is_terminal)


def _facts(name: str) -> dict[str, Any]:
    folder = shipped_folder(name)
    objects, info = read_objects(folder)
    samples = Counter(objects["split"].to_pylist())
    photographs = Counter(read_photographs(folder)["split"].to_pylist())
    return {
        "name": name,
        "title": info.title,
        "classes": len(info.classes),
        "train": samples["train"],
        "test": samples["test"],
        "train photographs": photographs["train"],
        "test photographs": photographs["test"],
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "licence": info.licence,
        "folder": str(folder),
    }

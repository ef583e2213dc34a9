"""Arguments and options that several commands of `exemplar-store` share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exemplar_store.errors import shown

if TYPE_CHECKING:
    from exemplar_store.reader import StoreReader

DAMAGED = 1  # exit code of a command that found damage

StorePath = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OfClass = Annotated[str | None, typer.Option("--label", help="Only this class: its number or its name.")]
OfStage = Annotated[int | None, typer.Option("--stage", help="Only exemplars that this stage brought.")]
OfCodec = Annotated[str | None, typer.Option("--codec", help="Only exemplars with tokens in this codec.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many.")]

WithTokenizer = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        envvar="EXEMPLAR_STORE_TOKENIZER",
        help="Tokenizer folder, tokenizer.json or vocab.txt, to write words instead of token ids.",
    ),
]
WithTexts = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        help="JSON lines with sample_id and text: the whole texts, to name the words that were dropped.",
    ),
]


def class_id(reader: StoreReader, label: str | None) -> int | None:
    """The class that the user means by number or name."""
    if label is None or label.isdecimal():
        return None if label is None else int(label)
    names = reader.snapshot.generation.class_names
    for number, name in names.items():
        if name == label:
            return number
    known = shown(", ".join(list(names.values())[:40]), 500) or "none are stored, give a number"
    raise typer.BadParameter(f"--label: no class is called {shown(label)!r}; classes: {known}")


def print_json(facts: Any) -> None:
    """Facts on stdout as indented JSON."""
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")

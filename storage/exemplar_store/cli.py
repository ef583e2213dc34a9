"""The command `exemplar-store`: look into a store, list, draw, verify and time what it holds.

Exit codes: 0 all is well; 1 the store is damaged; 2 the command was not understood or cannot be done.
Heavy modules are imported by the commands that need them, so that `--help` is instant.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from exemplar_store import exchange_cli, generations_cli
from exemplar_store.errors import Damaged, StoreError, shown
from exemplar_store.options import (
    DAMAGED,
    AsJson,
    Limit,
    OfClass,
    OfCodec,
    OfStage,
    StorePath,
    WithTexts,
    WithTokenizer,
    class_id,
    print_json,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Look into a store of masked exemplars. Example: exemplar-store info runs/quickstart/exemplars",
)
app.add_typer(exchange_cli.app)
app.add_typer(generations_cli.app)

REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; every error is one line on stderr. Returns the exit code."""
    try:
        code = app(args=arguments, prog_name="exemplar-store", standalone_mode=False) or 0
        sys.stdout.flush()
        return code
    except (BrokenPipeError, SystemExit):  # a reader such as `head` has seen enough; click and rich exit then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Damaged as error:
        return _refuse(str(error), DAMAGED)
    except StoreError as error:
        return _refuse(str(error), REFUSED)
    except OSError as error:
        return _refuse(f"{error.filename or 'output'}: {error.strerror}", REFUSED)
    except typer.exceptions.TyperException as error:
        return _refuse(_in_one_line(error), REFUSED)
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)


def _in_one_line(error: typer.exceptions.TyperException) -> str:
    """What typer says of a wrong command line, and the wrong value, which it leaves out."""
    from pydantic import ValidationError

    message = " ".join(error.format_message().split())
    cause = error.__cause__
    return f"{message}; got {shown(cause.errors()[0]['input'])!r}" if isinstance(cause, ValidationError) else message


def _refuse(message: str, code: int) -> int:
    sys.stderr.write(f"exemplar-store: {message}\n")
    return code


@app.command(epilog="Example: exemplar-store info runs/quickstart/exemplars")
def info(store: StorePath, as_json: AsJson = False) -> None:
    """Budget and use; bytes by modality, stage and class; what masking saved."""
    from exemplar_store.reader import StoreReader
    from exemplar_store.summary import summarise

    facts = summarise(StoreReader(store))
    if as_json:
        print_json(facts)
    else:
        from exemplar_store.tables import print_summary

        print_summary(facts)


@app.command(epilog="Example: exemplar-store ls runs/quickstart/exemplars --label heart --limit 5")
def ls(
    store: StorePath,
    label: OfClass = None,
    stage: OfStage = None,
    codec: OfCodec = None,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out this many first.")] = 0,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """One line per exemplar, best ranks of all classes first."""
    from exemplar_store.reader import StoreReader
    from exemplar_store.summary import listing

    reader = StoreReader(store)
    found = reader.select(class_id(reader, label), stage, codec)[offset:]
    records = listing(reader, found[:limit])
    if as_json:
        print_json(records)
    else:
        from exemplar_store.tables import print_listing

        print_listing(records, len(found) - len(records), offset + len(records))


@app.command(epilog="Example: exemplar-store show runs/quickstart/exemplars --grid -o memory.png")
def show(
    store: StorePath,
    index: Annotated[
        int | None, typer.Argument(help="Number of the exemplar, as `ls` prints it.", show_default=False)
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="A contact sheet of many exemplars, class by class.")] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="PNG file to write.")] = Path("exemplars.png"),
    label: OfClass = None,
    stage: OfStage = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="With --grid: at most this many per class.")] = 6,
    tokenizer: WithTokenizer = None,
    texts: WithTexts = None,
) -> None:
    """Draw exemplars to a PNG: kept tokens in place, dropped ones hatched, dropped words struck through."""
    from exemplar_store import gallery
    from exemplar_store.reader import StoreReader
    from exemplar_store.vocabulary import read_words

    if grid == (index is not None):
        raise typer.BadParameter("give either the number of an exemplar or --grid")
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"--output: {output} is drawn as PNG; give a name that ends in .png")
    reader = StoreReader(store)
    words = read_words(tokenizer, texts)
    if index is None:
        chosen = reader.select(class_id(reader, label), stage)
        image = gallery.contact_sheet(reader, chosen, limit, words)
    elif index < len(reader) and index >= 0:
        image = gallery.single(reader, index, words)
    else:
        raise typer.BadParameter(f"there is no exemplar {index}; the store holds {len(reader)}, numbered from 0")
    try:
        image.save(output, "PNG")
    except OSError as error:
        raise StoreError(f"{output}: {error.strerror}; give another file with -o") from error
    sys.stdout.write(f"{output}\n")


@app.command(epilog="Example: exemplar-store bench runs/quickstart/exemplars --threads 2")
def bench(
    store: StorePath,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads that decode a batch.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=600, help="How long to read.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """How fast this store is read here: opening, single exemplars, batches, all of it. Writes nothing."""
    from exemplar_store.timing import time_reads

    facts = time_reads(store, threads, seconds)
    if as_json:
        print_json(facts)
    else:
        from exemplar_store.tables import print_timing

        print_timing(facts)


@app.command(epilog="Example: exemplar-store verify runs/quickstart/exemplars --full")
def verify(
    store: StorePath,
    full: Annotated[bool, typer.Option("--full", help="Read every byte and decode every exemplar.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the store against its own records. Exit code 1 if it is damaged."""
    from dataclasses import asdict

    from exemplar_store.verification import verify as check

    found = check(store, full)
    if as_json:
        print_json({**asdict(found), "path": str(found.path)})
    else:
        for line in found.problems:
            sys.stderr.write(f"exemplar-store: {line}\n")
        how = "every byte" if full else "checksums of metadata, presence and size of files (every byte: --full)"
        if found.generation >= 0:
            sys.stdout.write(
                f"generation {found.generation}: {found.exemplars} exemplars, {found.files} files, "
                f"{found.bytes:,} bytes; checked: {how}\n"
            )
        if found.older:
            sys.stdout.write(f"older generations that are kept, checked too: {', '.join(map(str, found.older))}\n")
        if found.leftovers:
            sys.stdout.write(
                f"{len(found.leftovers)} leftovers of interrupted commits; harmless, the next commit removes them\n"
            )
        sys.stdout.write("the store is whole\n" if not found.problems else f"{len(found.problems)} problems\n")
    raise typer.Exit(DAMAGED if found.problems else 0)


if __name__ == "__main__":
    sys.exit(main())

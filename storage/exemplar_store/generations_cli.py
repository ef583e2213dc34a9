"""Commands of `exemplar-store` about generations and disk space: du, log, diff, rollback, forget, gc, compact."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from exemplar_store.errors import StoreError
from exemplar_store.options import DAMAGED, AsJson, StorePath, print_json

if TYPE_CHECKING:
    from exemplar_store.communicator import Communicator

app = typer.Typer()

MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # set by mpirun of Open MPI, and by that of MPICH and its kin


@app.command(epilog="Example: exemplar-store du runs/quickstart/exemplars")
def du(store: StorePath, as_json: AsJson = False) -> None:
    """Files and bytes on disk: of the head, of older generations, and of leftovers."""
    from exemplar_store.history import disk_usage

    facts = disk_usage(store)
    if as_json:
        print_json(facts)
        return
    from exemplar_store.tables import print_table

    print_table(
        ("part", "files", "bytes", "allocated"),
        [(one["part"], one["files"], one["bytes"], one["allocated"]) for one in facts],
    )


@app.command(epilog="Example: exemplar-store log runs/quickstart/exemplars")
def log(store: StorePath, as_json: AsJson = False) -> None:
    """The generations on disk, oldest first, and what each of them changed. Exit code 1 if one is damaged."""
    from exemplar_store.history import generation_log

    records = generation_log(store)
    if as_json:
        print_json(records)
    else:
        from exemplar_store.tables import print_log

        print_log(records)
    problems = [one["problem"] for one in records if "problem" in one]
    sys.stderr.writelines(f"exemplar-store: {problem}\n" for problem in problems)
    raise typer.Exit(DAMAGED if problems else 0)


@app.command(epilog="Example: exemplar-store diff runs/quickstart/exemplars 2 3")
def diff(
    store: StorePath,
    older: Annotated[int, typer.Argument(help="Number of a generation, as `log` prints it.", show_default=False)],
    newer: Annotated[int, typer.Argument(help="Number of another one.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Which exemplars one generation holds and another does not, class by class."""
    from exemplar_store.history import difference

    facts = difference(store, older, newer)
    if as_json:
        print_json(facts)
        return
    from exemplar_store.tables import print_difference

    print_difference(facts)


@app.command(epilog="Example: exemplar-store rollback runs/quickstart/exemplars 2")
def rollback(
    store: StorePath,
    generation: Annotated[int, typer.Argument(help="Number of a generation, as `log` prints it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make a new head that holds what an older generation on disk holds."""
    from exemplar_store.maintenance import roll_back

    head = roll_back(store, generation)
    if as_json:
        print_json({"generation": head.number, "holds_what_held": generation, "stages": list(head.stages)})
        return
    stages = ", ".join(map(str, head.stages)) or "none"
    sys.stdout.write(f"generation {head.number} holds what generation {generation} held; stages: {stages}\n")


@app.command(epilog="Example: exemplar-store forget runs/quickstart/exemplars 1017 1023")
def forget(
    store: StorePath,
    sample_ids: Annotated[list[int], typer.Argument(help="Samples, as `ls` numbers them.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Remove the exemplars of some samples for good: generations on disk that hold them go too."""
    from exemplar_store.store import ExemplarStore

    opened = ExemplarStore.open(store)
    before = sum(ref.exemplars for ref in opened.head.segments)
    head = opened.forget(set(sample_ids))
    facts = {"generation": head.number, "removed": before - sum(ref.exemplars for ref in head.segments)}
    if as_json:
        print_json({**facts, "bytes": opened.used_bytes})
        return
    sys.stdout.write(
        f"generation {head.number}: {facts['removed']} exemplars removed, {opened.used_bytes:,} bytes left, "
        "no older generation stays\n"
    )


@app.command(epilog="Example: exemplar-store gc runs/quickstart/exemplars --dry-run")
def gc(
    store: StorePath,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what neither the head nor a generation that is kept needs."""
    from exemplar_store.maintenance import collect_garbage

    removed = collect_garbage(store, dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "removed": removed})
        return
    verb = "would remove" if dry_run else "removed"
    for path, size in removed.items():
        sys.stdout.write(f"{verb} {path} ({size:,} bytes)\n")
    sys.stdout.write(f"{verb} {len(removed)} items, {sum(removed.values()):,} bytes\n")


@app.command(epilog="Example: mpirun -n 4 exemplar-store compact runs/quickstart/exemplars")
def compact(store: StorePath, as_json: AsJson = False) -> None:
    """Copy all exemplars into as few segments as possible. Under mpirun the processes share the work."""
    from exemplar_store.store import ExemplarStore

    group = _group()
    try:
        opened = ExemplarStore.open(store, communicator=group)
        before = {"segments": len(opened.head.segments), "bytes": opened.used_bytes}
        opened.compact()
    except StoreError:
        if group.rank == 0:
            raise
        return  # the first process has the same error; it speaks and exits for all
    if group.rank:
        return
    facts = {"generation": opened.head.number, "segments": len(opened.head.segments), "bytes": opened.used_bytes}
    if as_json:
        print_json({**facts, "before": before})
        return
    sys.stdout.write(
        f"generation {facts['generation']}: {before['segments']} segments and {before['bytes']:,} bytes before, "
        f"{facts['segments']} segments and {facts['bytes']:,} bytes now\n"
    )


def _group() -> Communicator:
    """All processes that mpirun has started; this one alone without it."""
    from exemplar_store.communicator import Alone, MpiCommunicator

    if not any(int(os.environ.get(name, 1)) > 1 for name in MPI_SIZES):
        return Alone()
    from mpi4py import MPI

    return MpiCommunicator(MPI.COMM_WORLD)

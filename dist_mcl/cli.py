"""The command `mcl`. Heavy imports happen inside the commands that need them, so looking at a run is instant."""

from __future__ import annotations

import functools
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console

from dist_mcl import __version__, config, config_file
from dist_mcl.errors import StageFailedError, UserError
from dist_mcl.packages.commands import app as models_app
from dist_mcl.scenario.commands import app as data_app
from dist_mcl.scenario.commands import track
from exemplar_store import StoreError

if TYPE_CHECKING:
    from dist_mcl.run_folder import RunFolder

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Teach a multimodal model new classes, stage after stage, and remember the old ones from masked exemplars.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at configurations.")
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

ConfigFile = Annotated[Path, typer.Argument(help="YAML file, for example configs/quickstart.yaml")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="override a field; may be repeated")
]
Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="part of the file, below `presets`, that is laid over the rest")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="run folder, for example runs/quickstart")]
RunOption = Annotated[Path | None, typer.Option("--run", help="run folder; runs/NAME when left out")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def run(
    config_file: ConfigFile,
    overrides: Overrides = None,
    preset: Preset = None,
    folder: RunOption = None,
    launcher: Annotated[str | None, typer.Option(help="local, deepspeed or mpi; as --set launcher.kind=")] = None,
) -> None:
    """Run an experiment, or continue it where it was interrupted.

    Example: mcl run configs/quickstart.yaml --set exemplars.budget=1MiB
    """
    changes = [*(overrides or []), *([f"launcher.kind={launcher}"] if launcher else [])]
    experiment = config.load(config_file, changes, preset)
    from dist_mcl.coordinator.start import default_folder, open_or_begin

    _finish(open_or_begin(folder or default_folder(experiment, changes), experiment, _data_bar))


@app.command()
def submit(
    config_file: ConfigFile,
    cluster: Annotated[Path, typer.Option(help="profile of the cluster, for example slurm/profiles/gpu.yaml")],
    overrides: Overrides = None,
    preset: Preset = None,
    folder: RunOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the batch scripts and submit nothing")] = False,
) -> None:
    """Hand a run to Slurm: one job per stage, each waiting for the one before.

    Example: mcl submit configs/quickstart.yaml --cluster slurm/profiles/gpu.yaml
    """
    experiment = config.load(config_file, overrides or [], preset)
    from dist_mcl.coordinator.start import begin, default_folder, open_or_plan
    from dist_mcl.coordinator.submit import batch_scripts, check_cluster, load_cluster, submit_run

    profile = load_cluster(cluster)
    place = folder or default_folder(experiment, overrides or [])
    planned = open_or_plan(place, experiment, _data_bar)
    scripts = batch_scripts(planned, profile)
    if dry_run:
        print("\n".join(scripts.values()), end="")
    else:
        for warning in check_cluster(planned, profile):
            print(f"mcl: warning: {warning}", file=sys.stderr)
        _say_submitted(place, submit_run(begin(planned), cluster))


@app.command()
def cancel(run_folder: RunArgument) -> None:
    """Ask a run to save and stop; `mcl run`, `mcl submit` or `mcl retry` continues it.

    Example: mcl cancel runs/quickstart
    """
    from dist_mcl.coordinator.intervene import cancel
    from dist_mcl.coordinator.submit import withdraw
    from dist_mcl.run_folder import RunFolder

    withdraw(cancel(RunFolder.open(run_folder)))
    print(f"{run_folder}: asked to stop after the step in work; `mcl status {run_folder} --watch` shows when it has")


@app.command()
def retry(run_folder: RunArgument, stage: Annotated[int, typer.Option(help="number of the stage, from 1")]) -> None:
    """Try a stage again that failed or was cancelled, and go on from there.

    Example: mcl retry runs/quickstart --stage 3
    """
    from dist_mcl.coordinator.intervene import reopen
    from dist_mcl.coordinator.submit import profile_copy, submit_run
    from dist_mcl.run_folder import RunFolder

    begun = RunFolder.open(run_folder)
    was_submitted = reopen(begun, stage)
    if was_submitted:
        _say_submitted(begun.path, submit_run(begun, profile_copy(begun)))
    else:
        _finish(begun)


@app.command()
def report(run_folder: RunArgument) -> None:
    """Write the report of a run and print its table; an unfinished run is reported as far as it got.

    Example: mcl report runs/quickstart
    """
    _write_report(run_folder)


@app.command()
def compare(
    run_folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="folders of finished runs")],
    as_json: AsJson = False,
) -> None:
    """Show finished runs side by side; runs that differ only in their seed become one row, with mean and spread.

    Example: mcl compare runs/quickstart*
    """
    from dist_mcl.display import compare, outcome, print_comparison
    from dist_mcl.run_folder import RunFolder

    rows = compare([outcome(RunFolder.open(path)) for path in run_folders])
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_comparison(rows, Console())


@app.command()
def status(
    run_folder: RunArgument,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="look again every second until it has ended")] = False,
) -> None:
    """Say how far a run has got.

    Example: mcl status runs/quickstart --watch
    """
    from dist_mcl.coordinator.submit import queued_jobs
    from dist_mcl.display import status_rows, status_table, watch_status
    from dist_mcl.run_folder import RunFolder

    begun = RunFolder.open(run_folder)

    def look() -> list[dict[str, object]]:
        try:
            return status_rows(begun, queued_jobs(begun))
        except UserError as error:
            print(f"mcl: {error}; the jobs are shown without their state", file=sys.stderr)
            return status_rows(begun)

    if watch:
        watch_status(look)
    elif as_json:
        print(json.dumps(look(), indent=1))
    else:
        Console().print(status_table(look()))


@app.command()
def params(
    config_file: ConfigFile, overrides: Overrides = None, preset: Preset = None, as_json: AsJson = False
) -> None:
    """Say how many parameters each modality's stage trains; no weights are read or made.

    The language model, and encoders that are named by a path, must be there, for their sizes.

    Example: mcl params configs/pathweave_instructblip.yaml
    """
    experiment = config.load(config_file, overrides or [], preset)
    from dist_mcl.training.parameters import count, count_table

    counts = count(experiment)
    if as_json:
        print(json.dumps(counts.facts(), indent=1))
    else:
        Console().print(count_table(counts))
        print(counts.summary())


@app.command()
def doctor(
    config_file: Annotated[
        Path | None, typer.Argument(help="YAML file of an experiment; default values when left out")
    ] = None,
    overrides: Overrides = None,
    folder: Annotated[Path, typer.Option(help="where runs are to be kept")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what this machine offers, and whether an experiment has all that it needs.

    Ends with 1 where something is missing. It tries the folder out, and leaves nothing behind.

    Example: mcl doctor configs/quickstart.yaml --set launcher.kind=mpi --folder /scratch/me/runs
    """
    experiment = config.load(config_file, overrides or []) if config_file else config.defaults(overrides or [])
    from dist_mcl.doctor import examine, print_findings

    with Console(stderr=True).status("looking"):
        findings = list(examine(experiment, folder))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print_findings(findings)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


@config_app.command()
def show(config_file: ConfigFile, overrides: Overrides = None, preset: Preset = None) -> None:
    """Print the complete configuration with every default filled in.

    Example: mcl config show configs/quickstart.yaml
    """
    experiment = config.load(config_file, overrides or [], preset)
    print(yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False), end="")


@config_app.command()
def check(config_file: ConfigFile, overrides: Overrides = None, preset: Preset = None) -> None:
    """Check a configuration and change nothing. Data are not looked at: `mcl data check` does that.

    Where modalities are learned, it is seen that the backbone has what is to train; for that the language model must
    be there, and nothing where its weights are random.

    Example: mcl config check configs/quickstart.yaml
    """
    experiment = config.load(config_file, overrides or [], preset)
    if experiment.scenario.kind == "modality_incremental":
        from dist_mcl.coordinator.requirements import check_language_model, check_models

        try:
            check_language_model(experiment)
        except UserError as missing:
            print(f"{config_file}: fine; whether the backbone has what model.adapter names is not known yet: {missing}")
            return
        from dist_mcl.training.rehearsal import rehearse

        rehearse(experiment)
        try:
            check_models(experiment)
        except UserError as missing:
            print(f"{config_file}: fine, but not all that a run needs is there: {missing}")
            return
    print(f"{config_file}: fine; data were not looked at, which `mcl data check` does")


@config_app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, for editors.

    Example: mcl config schema > experiment.schema.json
    """
    described = config.Experiment.model_json_schema()
    described["properties"]["presets"] = config_file.PRESETS_SCHEMA
    print(json.dumps(described, indent=1))


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _finish(begun: RunFolder) -> None:
    from dist_mcl.coordinator.schedule import finish_run
    from dist_mcl.display import StageBars, describe_start

    # As for Ctrl-C: workers save what they have before this process ends.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    Console().print(describe_start(begun), soft_wrap=True, highlight=False)
    try:
        with StageBars(len(begun.plan.stages)) as bars:
            finish_run(begun, bars.show, bars.stopping)
    except (KeyboardInterrupt, SystemExit):
        print("mcl: stopped; the same command continues it", file=sys.stderr)
        raise
    _write_report(begun.path)


def _say_submitted(run: Path, jobs: dict[int, int]) -> None:
    for stage, job in jobs.items():
        print(f"stage {stage} is job {job}")
    print(f"{run}: `mcl status {run} --watch` shows how it goes")


def _write_report(path: Path) -> None:
    from dist_mcl.report import collect, summary_table, write_report
    from dist_mcl.run_folder import RunFolder

    run_folder = RunFolder.open(path)
    data = collect(run_folder)
    write_report(data, run_folder.report)
    console = Console()
    console.print(summary_table(data))
    console.print(f"report  {run_folder.report}", soft_wrap=True)
    if run_folder.store.exists():
        console.print(f"store   {run_folder.store}   (exemplar-store info {run_folder.store})", soft_wrap=True)


_data_bar = functools.partial(track, patience=30)


def main() -> None:
    """Run `mcl`: a user's mistake is one line on standard error and exit code 2, a failed stage or store 1."""
    try:
        app()
    except UserError as error:
        print(f"mcl: {error}", file=sys.stderr)
        sys.exit(2)
    except (StageFailedError, StoreError) as error:
        print(f"mcl: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

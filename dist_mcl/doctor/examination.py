"""Everything that `mcl doctor` looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dist_mcl.config import Experiment
from dist_mcl.doctor.data import data
from dist_mcl.doctor.finding import Finding
from dist_mcl.doctor.folder import folder
from dist_mcl.doctor.machine import compiler, gpus, precision, processors
from dist_mcl.doctor.models import adapter, models
from dist_mcl.doctor.mpi import mpi
from dist_mcl.doctor.packages import packages
from dist_mcl.doctor.slurm import slurm


def examine(experiment: Experiment, place: Path) -> Iterator[Finding]:
    """Look at what an experiment needs on this machine; nothing is left behind.

    Args:
        experiment: says what is needed: its launcher, backbone, data and precision.
        place: where runs are to be kept; need not be there yet.
    """
    yield from packages()
    yield from processors(experiment.launcher)
    yield from gpus(experiment.launcher)
    yield from precision(experiment.training)
    yield from compiler()
    yield from models(experiment)
    yield from adapter(experiment)
    yield from data(experiment)
    yield from folder(place, is_shared=experiment.launcher.nodes > 1 or experiment.launcher.kind == "slurm")
    yield from mpi(experiment.launcher)
    yield from slurm(experiment.launcher)

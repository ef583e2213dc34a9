"""Pretrained models: fetched or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dist_mcl.config import Experiment, ViltBackbone
from dist_mcl.doctor.finding import Finding
from dist_mcl.errors import UserError
from dist_mcl.packages.hub import checkpoint_folder
from dist_mcl.packages.models import MODELS, model_dir, model_folder


def models(experiment: Experiment) -> Iterator[Finding]:
    """The model that the experiment's backbone is made of; then the others."""
    backbone = experiment.model.backbone
    needed = backbone.path if isinstance(backbone, ViltBackbone) else "all-minilm-l6-v2"
    try:
        yield Finding("models", "fine", f"{needed}: {_folder(needed)}")
    except UserError as error:
        says, _, todo = str(error).partition("; ")
        yield Finding("models", "missing", says, todo)
    for name in MODELS:
        if name != needed:
            is_there = "fetched" if model_folder(name).is_dir() else "not fetched"
            yield Finding("models", "fine", f"{name}: {is_there}; not needed for this")


def _folder(name: str) -> Path:
    return model_dir(name) if name in MODELS else checkpoint_folder(name)

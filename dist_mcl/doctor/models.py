"""Pretrained models: fetched or not."""

from __future__ import annotations

from collections.abc import Iterator

from dist_mcl.config import Experiment, ViltBackbone
from dist_mcl.coordinator.requirements import check_custom_encoders, check_has_weights, check_language_model
from dist_mcl.doctor.finding import Finding, refused
from dist_mcl.errors import UserError
from dist_mcl.media_rules import LanguageConfig, media_of
from dist_mcl.packages.models import MODELS, model_folder
from dist_mcl.packages.pretrained import checkpoint_names, field_of, folder_of


def models(experiment: Experiment) -> Iterator[Finding]:
    """The models that the experiment's backbone is made of; then the others."""
    needed = _needed(experiment)
    if isinstance(experiment.model.backbone, LanguageConfig):
        try:
            check_has_weights(experiment.model.backbone)
        except UserError as error:
            yield refused("models", error)
    for name, field in needed.items():
        try:
            yield Finding("models", "fine", f"{name}: {folder_of(name, field)}")
        except UserError as error:
            yield refused("models", error)
    for name in MODELS:
        if name not in needed:
            is_there = "fetched" if model_folder(name).is_dir() else "not fetched"
            yield Finding("models", "fine", f"{name}: {is_there}; not needed for this")


def adapter(experiment: Experiment) -> Iterator[Finding]:
    """Whether a backbone that answers has what is to train, and encoders of the user's own can be made.

    Nothing where that cannot be known, since the language model is missing.
    """
    if not isinstance(experiment.model.backbone, LanguageConfig):
        return
    try:
        check_language_model(experiment)
    except UserError:  # of which `models` tells
        return
    from dist_mcl.training.rehearsal import rehearse  # seconds to import

    try:
        rehearse(experiment)
        check_custom_encoders(experiment)
    except UserError as error:
        yield refused("adapter", error)
    else:
        yield Finding("adapter", "fine", "the backbone has what every stage is to train")


def _needed(experiment: Experiment) -> dict[str, str]:
    """Names of models, and the fields that name them."""
    backbone = experiment.model.backbone
    if isinstance(backbone, LanguageConfig):
        media = media_of(experiment)
        return {name: field_of(part, media) for part, name in checkpoint_names(backbone, media).items()}
    return {backbone.path if isinstance(backbone, ViltBackbone) else "all-minilm-l6-v2": "model.backbone.path"}

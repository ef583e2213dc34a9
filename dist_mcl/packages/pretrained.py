"""Where the pretrained parts of a backbone that answers questions are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dist_mcl.causal_config import CausalConfig, TinyCausalConfig
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium
from dist_mcl.errors import UserError
from dist_mcl.media_rules import LanguageConfig
from dist_mcl.packages.hub import checkpoint_folder, read_settings
from dist_mcl.packages.models import MODELS, model_dir

LANGUAGE_MODEL = "language model"


def checkpoint_names(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, str]:
    """Models by what they are: the language model (with its Q-Former), and each pretrained encoder by its name.

    A backbone with random weights has such encoders too, but for those that are given by a path. A language model that
    reads pictures itself, and is there to tell so, needs no encoder of a package.
    """
    encoders = [medium.encoder for medium in media.values()]
    paths = {encoder.path for encoder in encoders if isinstance(encoder, HuggingFaceFeatures)}
    if isinstance(config, TinyCausalConfig) or config.path is None:
        return {name: name for name in sorted(paths)}
    packaged = {encoder.kind for encoder in encoders} & MODELS.keys()
    if packaged and isinstance(config, CausalConfig) and _is_known_to_read_pictures(config.path):
        packaged = set()
    return {LANGUAGE_MODEL: config.path, **{name: name for name in sorted(paths | packaged)}}


def checkpoint_files(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, Path]:
    """Folders of these models, likewise.

    Raises:
        UserError: one was not fetched.
    """
    return {part: folder_of(name) for part, name in checkpoint_names(config, media).items()}


def files_of_sizes(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, Path]:
    """As `checkpoint_files`, without encoders whose sizes are known: those of packages."""
    names = checkpoint_names(config, media)
    return {part: folder_of(name) for part, name in names.items() if part == LANGUAGE_MODEL or name not in MODELS}


def reads_pictures(folder: Path) -> bool:
    """Whether a checkpoint is of a model that has a picture encoder and a projector of its own.

    Raises:
        UserError: its config.json is damaged.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES  # imports torch

    return read_settings(folder, "config").get("model_type") in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def _is_known_to_read_pictures(name: str) -> bool:
    if name in MODELS:
        return False  # known without importing torch
    try:
        return reads_pictures(folder_of(name))
    except UserError:
        return False  # who opens it is told what is wrong


def folder_of(name: str) -> Path:
    """Of a model of `mcl models list`, or of a checkpoint. Raises UserError: it was not fetched."""
    return model_dir(name) if name in MODELS else checkpoint_folder(name)

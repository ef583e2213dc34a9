"""Where the pretrained parts of a backbone that answers questions are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dist_mcl.causal_config import TinyCausalConfig
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium
from dist_mcl.media_rules import LanguageConfig
from dist_mcl.packages.hub import checkpoint_folder
from dist_mcl.packages.models import MODELS, model_dir

LANGUAGE_MODEL = "language model"


def checkpoint_names(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, str]:
    """Models by what they are: the language model (with its Q-Former), and each pretrained encoder by its name.

    A backbone with random weights has such encoders too, but for those that are given by a path.
    """
    encoders = [medium.encoder for medium in media.values()]
    paths = {encoder.path for encoder in encoders if isinstance(encoder, HuggingFaceFeatures)}
    if isinstance(config, TinyCausalConfig) or config.path is None:
        return {name: name for name in sorted(paths)}
    packaged = {encoder.kind for encoder in encoders} & MODELS.keys()
    return {LANGUAGE_MODEL: config.path, **{name: name for name in sorted(paths | packaged)}}


def checkpoint_files(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, Path]:
    """Folders of these models, likewise.

    Raises:
        UserError: one was not fetched.
    """
    return {part: folder_of(name) for part, name in checkpoint_names(config, media).items()}


def folder_of(name: str) -> Path:
    """Of a model of `mcl models list`, or of a checkpoint. Raises UserError: it was not fetched."""
    return model_dir(name) if name in MODELS else checkpoint_folder(name)

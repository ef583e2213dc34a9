"""Where the pretrained parts of the backbone `causal` are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dist_mcl.causal_config import CausalBackbone
from dist_mcl.encoder_config import Medium
from dist_mcl.packages.hub import checkpoint_folder
from dist_mcl.packages.models import MODELS, model_dir

LANGUAGE_MODEL = "language model"


def checkpoint_names(config: CausalBackbone, media: Mapping[str, Medium]) -> dict[str, str]:
    """Models by what they are: the language model, and each pretrained encoder by its kind."""
    kinds = sorted({medium.encoder.kind for medium in media.values()} & MODELS.keys())
    return {LANGUAGE_MODEL: config.path, **{kind: kind for kind in kinds}}


def checkpoint_files(config: CausalBackbone, media: Mapping[str, Medium]) -> dict[str, Path]:
    """Folders of these models, likewise.

    Raises:
        UserError: one was not fetched.
    """
    names = checkpoint_names(config, media)
    return {part: model_dir(name) if name in MODELS else checkpoint_folder(name) for part, name in names.items()}

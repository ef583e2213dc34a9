"""Where the pretrained parts of the backbone `causal` are."""

from __future__ import annotations

from pathlib import Path

from dist_mcl.causal_config import CausalBackbone
from dist_mcl.packages.hub import checkpoint_folder
from dist_mcl.packages.models import MODELS, model_dir

LANGUAGE_MODEL = "language model"


def checkpoint_files(config: CausalBackbone) -> dict[str, Path]:
    """Folders by what is in them: the language model, and each pretrained encoder by its kind.

    Raises:
        UserError: one was not fetched.
    """
    kinds = sorted({medium.encoder.kind for medium in config.media.values()} & MODELS.keys())
    language_model = model_dir(config.path) if config.path in MODELS else checkpoint_folder(config.path)
    return {LANGUAGE_MODEL: language_model, **{kind: model_dir(kind) for kind in kinds}}

"""Where the pretrained parts of a backbone that answers questions are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from dist_mcl.causal_config import CausalConfig, TinyCausalConfig
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium
from dist_mcl.errors import UserError
from dist_mcl.media_rules import LanguageConfig
from dist_mcl.packages.hub import checkpoint_folder, is_hub_id, read_settings
from dist_mcl.packages.models import MODELS, model_dir

LANGUAGE_MODEL = "language model"
_LANGUAGE_FIELD = "model.backbone.path"
_ALIKE = 0.4  # smollm2 is as like as that to the whole name, and nothing else


def checkpoint_names(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, str]:
    """Models by what they are: the language model (with its Q-Former), and each pretrained encoder by its name.

    A backbone with random weights has such encoders too, but for those that are given by a path. A language model that
    reads pictures itself, and is there to tell so, needs none for `image`.
    """
    encoders = [medium.encoder for medium in media.values()]
    paths = {encoder.path for encoder in encoders if isinstance(encoder, HuggingFaceFeatures)}
    if isinstance(config, TinyCausalConfig) or config.path is None:
        return {name: name for name in sorted(paths)}
    packaged = {encoder.kind for encoder in encoders} & MODELS.keys()
    if packaged and isinstance(config, CausalConfig) and _is_known_to_read_pictures(config.path):
        packaged &= {medium.encoder.kind for name, medium in media.items() if name != "image"}
    return {LANGUAGE_MODEL: config.path, **{name: name for name in sorted(paths | packaged)}}


def checkpoint_files(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, Path]:
    """Folders of these models, likewise.

    Raises:
        UserError: one was not fetched.
    """
    return {part: folder_of(name, field_of(part, media)) for part, name in checkpoint_names(config, media).items()}


def field_of(part: str, media: Mapping[str, Medium]) -> str:
    """What names a model of `checkpoint_names` in the experiment: the backbone's path, or the first such encoder."""
    if part == LANGUAGE_MODEL:
        return _LANGUAGE_FIELD
    for medium in media.values():
        if isinstance(medium.encoder, HuggingFaceFeatures) and medium.encoder.path == part:
            return f"{medium.place}.encoder.path"
    return next(f"{medium.place}.encoder" for medium in media.values() if medium.encoder.kind == part)


def files_of_sizes(config: LanguageConfig, media: Mapping[str, Medium]) -> dict[str, Path]:
    """As `checkpoint_files`, without encoders whose sizes are known: those of packages."""
    names = checkpoint_names(config, media)
    return {
        part: folder_of(name, field_of(part, media))
        for part, name in names.items()
        if part == LANGUAGE_MODEL or name not in MODELS
    }


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
        return reads_pictures(folder_of(name, _LANGUAGE_FIELD))
    except UserError:
        return False  # who opens it is told what is wrong


def folder_of(name: str, field: str) -> Path:
    """Of a model of `mcl models list`, or of a checkpoint.

    Args:
        field: of the experiment, which names it, for messages.

    Raises:
        UserError: it was not fetched, or is neither.
    """
    if name in MODELS:
        return model_dir(name)
    is_checkpoint = is_hub_id(name) or Path(name).expanduser().is_dir()
    if close := [] if is_checkpoint else difflib.get_close_matches(name, MODELS, n=1, cutoff=_ALIKE):
        raise UserError(f"{field}: {name}: no such folder or model; did you mean {close[0]!r}?")
    return checkpoint_folder(name, field)

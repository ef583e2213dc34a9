"""Checkpoints of the Hugging Face hub: fetched once by id, then used offline."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

from dist_mcl.errors import UserError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.txt",
)
# Whole, or in parts with an index of them.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/model."""
    return _ID.fullmatch(name) is not None


def checkpoint_folder(path_or_id: str) -> Path:
    """The folder of a checkpoint: the one that is named, or where the hub's client keeps what was fetched.

    Raises:
        UserError: there is no such folder, and no checkpoint of this id was fetched.
    """
    from huggingface_hub import snapshot_download  # a second to import
    from huggingface_hub.errors import LocalEntryNotFoundError

    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(path_or_id):
        raise UserError(f"{path_or_id}: no such folder; name a folder, or a checkpoint of the hub as owner/model")
    try:
        return Path(snapshot_download(path_or_id, allow_patterns=[*_FILES, *chain(*_WEIGHTS)], local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{path_or_id}: no such folder, and no fetched checkpoint; run `mcl models fetch {path_or_id}`"
        ) from error


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """What a checkpoint's `name`.json says; nothing if there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); get the checkpoint again") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no settings; get the checkpoint again")
    return values


def fetch_checkpoint(hub_id: str) -> Path:
    """Download what a backbone needs of a checkpoint, unless that is done; returns its folder.

    Raises:
        UserError: the hub cannot be reached, or has no such checkpoint.
    """
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        there = set(list_repo_files(hub_id))
        weights = next((names for names in _WEIGHTS if names[0] in there), ())
        return Path(snapshot_download(hub_id, allow_patterns=[*_FILES, *weights]))
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{hub_id}: cannot be fetched from the hub ({reason}); check the id and the network") from error

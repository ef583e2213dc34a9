"""Checkpoints of the Hugging Face hub: fetched once by id, then used offline."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from dist_mcl.errors import UserError

# What reading damaged weights raises, and weights that are pickles of more than tensors.
WEIGHT_ERRORS = (EOFError, OSError, RuntimeError, ValueError, SafetensorError, pickle.UnpicklingError)

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "qformer_tokenizer/*",
)
# Whole, or in parts with an index of them. A checkpoint that has several has the same in each; the first one is taken.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)
# What a file holds already that lies in the same folder: these are not missed beside it.
_HELD_BY = {
    "tokenizer.json": ("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "added_tokens.json"),
    "preprocessor_config.json": ("processor_config.json",),
}
_MOST_NAMED = 4


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/model."""
    return _ID.fullmatch(name) is not None


def checkpoint_folder(path_or_id: str, field: str) -> Path:
    """The folder of a checkpoint: the one that is named, or where the hub's client keeps what was fetched.

    Args:
        field: of the experiment, which names it, for messages.

    Raises:
        UserError: there is no such folder, and no checkpoint of this id was fetched, or not all that is needed of it.
    """
    from huggingface_hub import snapshot_download  # a second to import
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(path_or_id):
        raise UserError(
            f"{field}: {path_or_id}: no such folder; name a folder, or a checkpoint of the hub as owner/model"
        )
    try:
        folder = Path(snapshot_download(path_or_id, allow_patterns=["config.json"], local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"{field}: {path_or_id}: no such folder, and no fetched checkpoint; run `mcl models fetch {path_or_id}`"
        ) from error
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if missing := _missing(there, there | _published(path_or_id)):
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise UserError(
            f"{path_or_id}: fetched without {', '.join(missing[:_MOST_NAMED])}{more}; run `mcl models fetch "
            f"{path_or_id}`, which gets what is missing"
        )
    return folder


def _published(hub_id: str) -> set[str]:
    """The files that the hub has of a checkpoint, as far as its client has noted them when it fetched."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        return {file.path for file in get_cached_repo_tree(hub_id)}
    except CachedRepoTreeNotFoundError:  # a client of before there were such notes
        return set()


def _missing(there: set[str], published: set[str]) -> list[str]:
    """What is not there of a checkpoint and would change how it is read, or keep it from being read at all."""
    choices = [_matching(published, patterns) for patterns in _WEIGHTS if patterns[0] in published]
    weights = next((files for files in choices if files <= there), choices[0] if choices else {_WEIGHTS[0][0]})
    held = {
        path.removesuffix(holder) + name
        for holder, names in _HELD_BY.items()
        for path in there
        if path.rpartition("/")[2] == holder
        for name in names
    }
    return sorted((weights | _matching(published, _FILES)) - held - there)


def _matching(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


def why_unreadable(error: Exception) -> str:
    """In one line, why weights cannot be read: for one of `WEIGHT_ERRORS`."""
    if isinstance(error, pickle.UnpicklingError):  # whose own text tells how to load it all the same
        return "they are damaged, or hold something else than tensors"
    return str(error).partition("\n")[0] or type(error).__name__


def check_whole(folder: Path, missing: Collection[str]) -> None:
    """Raises UserError where a checkpoint lacks weights: each process would draw random ones of its own."""
    if missing:
        raise UserError(f"{folder}: has no weights {min(missing)}, of {len(missing)} that are missing; get it again")


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


def read_preprocessing(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of the pictures that it takes; nothing if it says nothing.

    Raises:
        UserError: the file is damaged.
    """
    if settings := read_settings(folder, "preprocessor_config"):
        return settings
    of_pictures = read_settings(folder, "processor_config").get("image_processor")  # where transformers 5 writes it
    return of_pictures if isinstance(of_pictures, dict) else {}


def fetch_checkpoint(hub_id: str) -> Path:
    """Download what a backbone needs of a checkpoint, unless that is done; returns its folder.

    Raises:
        UserError: the hub cannot be reached, or has no such checkpoint, or one without weights that can be read.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library, which changes

    try:
        needed = _needed(HfApi().list_repo_files(hub_id))
        if not needed:
            raise UserError(
                f"{hub_id}: has neither model.safetensors nor pytorch_model.bin, whole or in parts; choose a "
                "checkpoint that transformers loads"
            )
        return Path(snapshot_download(hub_id, allow_patterns=needed))
    except (HTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{hub_id}: cannot be fetched from the hub ({reason}); check the id and the network") from error


def _needed(names: Iterable[str]) -> list[str]:
    """Patterns of what a checkpoint of such files is used for; none where there are no weights among them."""
    there = set(names)
    weights = next((patterns for patterns in _WEIGHTS if patterns[0] in there), None)
    return [*_FILES, *weights] if weights else []

"""The YAML file of a configuration, and what is laid over it, before any value is checked: a preset, then overrides.

A preset is a part of a configuration under `presets.NAME` of the same file. Its sections are laid over those of the
file key by key; anything else, a list too, takes the place of what was there. The experiment is then called
`NAME-PRESET`, so its run has a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from dist_mcl.errors import UserError

_PRESETS = "presets"
PRESETS_SCHEMA = {
    "type": "object",
    "additionalProperties": {"type": "object"},
    "description": "by name, a part of a configuration that `--preset NAME` lays over the rest",
}


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        UserError: no such file, not YAML, or no mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: the configuration must be a mapping of keys to values, got {type(raw).__name__}")
    return raw


def choose_preset(raw: dict[str, Any], preset: str | None, place: str) -> dict[str, Any]:
    """The configuration without its presets, the chosen one laid over it.

    Args:
        place: the file, for people.

    Raises:
        UserError: there is no such preset, or presets are no mappings.
    """
    presets = raw.get(_PRESETS, {})
    if not isinstance(presets, dict) or not all(isinstance(part, dict) for part in presets.values()):
        raise UserError(f"{place}: {_PRESETS}: write them as NAME: and below it the keys that it changes")
    plain = {key: value for key, value in raw.items() if key != _PRESETS}
    if preset is None:
        return plain
    if preset not in presets:
        known = f"choose from {', '.join(map(str, presets))}" if presets else "the file has none"
        raise UserError(f"{place}: no preset {preset!r}; {known}")
    chosen = _laid_over(plain, presets[preset])
    return {**chosen, "name": f"{chosen['name']}-{preset}"} if "name" in chosen else chosen


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        is_section = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _laid_over(below[key], value) if is_section else value
    return merged


def override(raw: dict[str, Any], overrides: Iterable[str]) -> None:
    """Put in overrides such as `"exemplars.budget=2MiB"`.

    Raises:
        UserError: one is not `key=value`, or goes below a value.
    """
    for one in overrides:
        _apply(raw, one)


def _apply(raw: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override}: write it as a.b=value, for example exemplars.budget=2MiB")
    section = raw
    for key in keys[:-1]:
        child = section.setdefault(key, {})
        if not isinstance(child, dict):
            is_what = "a list; set the whole of it" if isinstance(child, list) else "a value, not a section"
            raise UserError(f"--set {override}: {key!r} is {is_what}")
        section = child
    try:
        section[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: {value!r} is not a YAML value; quote it") from error

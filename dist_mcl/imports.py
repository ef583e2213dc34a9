"""Code of the user's own, named in a configuration."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dist_mcl.errors import UserError


def make_object(place: str, path: str, options: Mapping[str, Any]) -> Any:
    """What the class or function at a path makes.

    Args:
        place: section of the configuration whose `path` it is, for messages.
        path: as of `load_object`.
        options: keywords that it is made with.

    Raises:
        UserError: as `load_object`, or it fails while it is made with these options.
    """
    make = load_object(place, path)
    try:
        return make(**options)
    except Exception as error:  # whatever a user's class raises
        reason = _reason(error, path.rpartition(":")[0])
        raise UserError(
            f"{place}.path {path}: cannot be made with options {dict(options)} ({reason}); mend the options or the file"
        ) from error


def load_object(place: str, path: str) -> Any:
    """What `FILE.py:NAME` or `MODULE:NAME` names. A file is run once in a process, however often it is named.

    Args:
        place: section of the configuration whose `path` it is, for messages.

    Raises:
        UserError: the file or module is missing, fails while it is run, or has no such name.
    """
    module_name, _, name = path.rpartition(":")
    try:
        module = _module_of(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
    except Exception as error:  # whatever a user's file raises
        raise UserError(
            f"{place}.path {path}: cannot be imported ({_reason(error, module_name)}); mend the path or the file"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise UserError(f"{place}.path {path}: {module_name} has no {name!r}; mend the name") from error


def _reason(error: Exception, file: str) -> str:
    """What was raised, in one line, and where in the file, if it was there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _module_of(file: Path) -> Any:
    unique = f"dist_mcl_user_{hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:12]}"
    if unique not in sys.modules:
        spec = importlib.util.spec_from_file_location(unique, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[unique] = module  # dataclasses look their module up while it is made
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[unique]
            raise
    return sys.modules[unique]

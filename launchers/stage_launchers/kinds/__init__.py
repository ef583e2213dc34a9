"""The kinds of launchers: one file each, named like the kind, with the class as `LAUNCHER`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from stage_launchers.job import Launcher, LauncherError


def launcher_kinds() -> tuple[str, ...]:
    """The names that `create_launcher` takes."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def create_launcher(kind: str, options: Mapping[str, Any] | None = None) -> Launcher:
    """The launcher of this kind, with options as a configuration file gives them.

    Raises:
        LauncherError: an unknown kind, an unknown option, or a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError  # not at the top: every rank imports this package

    if kind not in launcher_kinds():
        raise LauncherError(f"launcher {kind!r}: choose one of {', '.join(launcher_kinds())}")
    launcher = importlib.import_module(f"{__name__}.{kind}").LAUNCHER
    known = [option.name for option in fields(launcher)]
    for name in options or {}:
        if name not in known:
            raise LauncherError(f"launcher {kind}: no option {name!r}; it has {', '.join(known) or 'none'}")
    try:
        made: Launcher = TypeAdapter(launcher).validate_python(dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise LauncherError(f"launcher {kind}: {name}: {first['msg']}; got {first['input']!r}") from error
    return made

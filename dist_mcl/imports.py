"""Code of the user's own, named in a configuration."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from dist_mcl.errors import UserError


def load_object(path: str) -> Any:
    """What `FILE.py:NAME` or `MODULE:NAME` names. A file is run once in a process, however often it is named.

    Raises:
        UserError: the file or module is missing or cannot be imported, or has no such name.
    """
    module_name, _, name = path.rpartition(":")
    try:
        module = _module_of(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        return getattr(module, name)
    except AttributeError as error:
        raise UserError(f"{path}: {module_name} has no {name!r}; mend the name") from error
    except (ImportError, OSError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be imported ({error}); mend the path or the file") from error


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

"""Python packages: those that dist-mcl asks for, beside the versions that its tests were run with."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dist_mcl.doctor.finding import Finding


def packages() -> Iterator[Finding]:
    """What is missing or too old, then how far the rest is what was tested."""
    yield Finding("python", "fine", f"{platform.python_version()} in {sys.prefix}")
    try:
        wanted = [Requirement(line) for line in requires("dist-mcl") or ()]
    except PackageNotFoundError:
        yield Finding("packages", "missing", "dist-mcl itself is not installed", "pip install dist-mcl")
        return
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    found = {one.name: _version(one.name) for one in needed}
    for one in needed:
        its = found[one.name]
        if its is None or not one.specifier.contains(its, prereleases=True):
            is_there = "is not installed" if its is None else f"{its} is installed, dist-mcl needs {one.specifier}"
            yield Finding("packages", "missing", f"{one.name} {is_there}", f"pip install '{one}'")
    yield _compared({name: its for name, its in found.items() if its is not None}, tested_versions())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _compared(found: dict[str, str], tested: dict[str, str]) -> Finding:
    """Without the local part of a version: 2.13.0+cpu is 2.13.0."""
    others = {
        name: its
        for name, its in found.items()
        if Version(its).public != tested.get(canonicalize_name(name), Version(its).public)
    }
    if not others:
        return Finding("packages", "fine", f"{len(found)}, in the versions of the tests; torch {found.get('torch')}")
    names = ", ".join(f"{name} {its} ({tested[canonicalize_name(name)]})" for name, its in others.items())
    return Finding(
        "packages",
        "note",
        f"{len(found)}; in another version than in the tests: {names}",
        "pip install --constraint constraints.txt, if something does not work",
    )


def tested_versions() -> dict[str, str]:
    """Exact versions by canonical name: constraints.txt, inside an installed package or of the source tree."""
    installed = Path(__file__).parents[1] / "constraints.txt"
    file = installed if installed.is_file() else Path(__file__).parents[2] / "constraints.txt"
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pinned for name, pinned in pins}

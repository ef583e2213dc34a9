"""What all studies' pages have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dist_mcl.files import write_text


def render(template: Path, content: Mapping[str, object], path: Path) -> Path:
    """Write a page from its template; returns the page."""
    page = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(template.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page.render(content) + "\n")
    return path


def processor_hours(results: Iterable[Mapping[str, Any]]) -> float:
    """Of one core, for all runs."""
    return sum(float(result["processor_seconds"]) for result in results) / 3600


def versions(results: Iterable[Mapping[str, Any]]) -> str:
    """Of the packages with which the runs were made."""
    return ", ".join(sorted({f"{name} {number}" for one in results for name, number in one["versions"].items()}))

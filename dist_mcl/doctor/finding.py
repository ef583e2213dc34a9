"""One thing that `mcl doctor` found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

from dist_mcl.errors import UserError

State = Literal["fine", "note", "missing"]
_STYLES = {"fine": "green", "note": "yellow", "missing": "bold red"}


@dataclass(frozen=True)
class Finding:
    """A fact about this machine, for people and for scripts.

    Attributes:
        topic: what it is about, in a word.
        state: fine; note: it works, but slower, or a part is absent that this run does not need; missing: this run
            needs it, and it is not here.
        says: the fact.
        todo: what to do about it; None where there is nothing to do.
    """

    topic: str
    state: State
    says: str
    todo: str | None = None


def absent(topic: str, is_needed: bool, says: str, todo: str | None = None) -> Finding:
    """What is not here: missing where it is needed, worth a note otherwise."""
    return Finding(topic, "missing" if is_needed else "note", says, todo)


def refused(topic: str, error: UserError) -> Finding:
    """What keeps a run from beginning, as `mcl run` says it."""
    says, _, todo = str(error).partition("; ")
    return Finding(topic, "missing", says, todo or None)


def print_findings(findings: Sequence[Finding]) -> None:
    """A line each, and one that says how many are missing."""
    console = Console()
    for finding in findings:
        line = Text(f"{finding.state:8}", style=_STYLES[finding.state])
        line.append(f"{finding.topic:11}{finding.says}", style="default")
        if finding.todo:
            line.append(f"; {finding.todo}", style="default")
        console.print(line, soft_wrap=True)
    missing = sum(finding.state == "missing" for finding in findings)
    console.print(f"{missing} missing" if missing else "nothing is missing")

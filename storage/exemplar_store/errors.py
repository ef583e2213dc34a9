"""The store's own family of errors. Every message is one line that names the file or field, the value and the mend."""

# ruff: noqa: N818  (the names say what is the matter; "Error" would add nothing)

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_UNION_MEMBERS = ("constrained-int", "str")  # which pydantic puts behind the name of a field that may be either


def shown(value: object, most: int = 80) -> str:
    """Something that came out of a file, fit for one line of a message or a terminal: printable, and not too long."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def first_problem(error: ValidationError) -> str:
    """What is wrong with the first of the fields that pydantic refuses: its name, its value, the reason."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in _UNION_MEMBERS)
    value = "" if first["type"] == "missing" else f" is {shown(first['input'])!r}"
    return f"{shown(field) or 'the line'}{value}: {first['msg']}"


class StoreError(Exception):
    """Anything that the store refuses. Nothing that was committed before has been changed when it is raised."""


class NotAStore(StoreError):
    """The path holds no exemplar store, or something else already."""


class UnsupportedFormat(StoreError):
    """The store was written in a format version, with a feature or with a codec that this reader does not know."""


class Damaged(StoreError):
    """A file is missing, cut short, changed or contradicts another one."""


class WrongRun(StoreError):
    """The store belongs to another run."""


class BudgetTooSmall(StoreError):
    """Not even one exemplar fits the byte budget."""


class StoreBusy(StoreError):
    """Another process is committing to the store right now."""


class CommitConflict(StoreError):
    """Another generation was committed since this one was planned."""


class GroupBroken(StoreError):
    """A process of the group that writes together cannot be reached any more."""

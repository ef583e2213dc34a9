"""In which fields two configurations differ, told to people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ABSENT = object()
_LONGEST_VALUE = 60  # letters
_MOST_TOLD = 5


def differing_fields(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two dumped configurations differ, each as `path: ours is A, theirs is B`.

    Short lists are compared whole, longer ones entry by entry, counted from 0.

    Args:
        ours, theirs: mappings, lists and plain values.
        path: of these two in what they are part of.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in sorted(set(ours) | set(theirs)):
            yield from differing_fields(ours.get(key, _ABSENT), theirs.get(key, _ABSENT), _below(path, key))
    elif _is_list(ours) and _is_list(theirs) and not _are_short(ours, theirs):
        if len(ours) != len(theirs):
            yield f"{path} has {len(ours)} entries here and {len(theirs)} there"
            return
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differing_fields(one, other, _below(path, place))
    elif ours != theirs:
        yield f"{path} is {_shown(ours)} here and {_shown(theirs)} there"


def some_of(differences: Sequence[str]) -> str:
    """The first few in one line, and how many more there are."""
    more = len(differences) - _MOST_TOLD
    return "; ".join([*differences[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])])


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _are_short(*values: Sequence[object]) -> bool:
    return all(len(_text(value)) <= _LONGEST_VALUE for value in values)


def _shown(value: object) -> str:
    text = "absent" if value is _ABSENT else _text(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}\N{HORIZONTAL ELLIPSIS}"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)

"""What is wrong with a configuration, in one line for each mistake, in the words and places of the user's file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """A line for each mistake: path, value and mend.

    Args:
        root: the model that was validated.
    """
    found = error.errors()
    # A list is also said to be too short when all of its elements are wrong.
    wrong = [item for item in found if item["type"] != "too_short" or not any(_is_within(one, item) for one in found)]
    return [_explain_one(root, item["loc"], item["type"], item["msg"], item["input"]) for item in wrong]


def _is_within(inner: ErrorDetails, outer: ErrorDetails) -> bool:
    place = outer["loc"]
    return len(inner["loc"]) > len(place) and inner["loc"][: len(place)] == place


def _explain_one(root: type[BaseModel], location: Location, kind: str, message: str, value: object) -> str:
    steps = _walk(root, location)
    # The tag of a discriminated union appears in the location but not in the user's file.
    place = ".".join(step.part for step in steps if step.is_key)
    if kind == "extra_forbidden":
        known = list((steps[-2].options.section if len(steps) > 1 else root).model_fields)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{place}: unknown key; {mend}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _explain_tag(place, steps[-1].options, value)
    if kind == "missing":
        return f"{place}: missing; add it"
    message = message.removeprefix("Value error, ")
    return f"{place or 'experiment'}: {message}" + ("" if isinstance(value, dict | BaseModel) else f", got {value!r}")


@dataclass(frozen=True)
class _Options:
    """The sections that a field may hold, by the value of the key that tells them apart; one of them has the key ""."""

    discriminator: str
    sections: dict[str, type[BaseModel]]
    by_name: bool = False

    @classmethod
    def of(cls, annotation: Any, discriminator: object) -> _Options:
        types = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]
        found = [one for one in types if issubclass(one, BaseModel)]
        if not isinstance(discriminator, str):
            return cls("", {"": found[0]} if found else {})
        tags = {one: get_args(one.model_fields[discriminator].annotation) for one in found}
        return cls(discriminator, {tag: one for one, its in tags.items() for tag in its})

    @classmethod
    def of_elements(cls, annotation: Any) -> _Options | None:
        """What the elements of a list may be; None for what is no list."""
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        if get_origin(annotation) is not tuple:
            return None
        element = get_args(annotation)[0]
        marks = get_args(element)[1:] if get_origin(element) is Annotated else ()
        discriminators = [mark.discriminator for mark in marks if isinstance(mark, FieldInfo)]
        whole = get_args(element)[0] if marks else element
        return cls.of(whole, discriminators[0] if discriminators else None)

    @property
    def section(self) -> type[BaseModel]:
        return self.sections.get("", BaseModel)


@dataclass(frozen=True)
class _Step:
    """One part of a mistake's location: a key of the user's file, or the tag by which a union was resolved."""

    part: str
    is_key: bool
    options: _Options


def _of_field(field: FieldInfo) -> _Options:
    if get_origin(field.annotation) is dict:
        return replace(_Options.of(field.annotation, None), by_name=True)
    return _Options.of_elements(field.annotation) or _Options.of(field.annotation, field.discriminator)


def _walk(root: type[BaseModel], location: Location) -> list[_Step]:
    options = _Options("", {"": root})
    steps: list[_Step] = []
    for position in location:
        part = str(position)
        if isinstance(position, int):  # a place in a list, whose elements `options` says
            steps.append(_Step(part, True, options))
            continue
        if options.by_name:  # a name that the user gives
            options = replace(options, by_name=False)
            steps.append(_Step(part, True, options))
            continue
        is_key = not (options.discriminator and part in options.sections)
        if is_key:
            field = options.section.model_fields.get(part)
            options = _of_field(field) if field else _Options("", {})
        else:
            options = _Options("", {"": options.sections[part]})
        steps.append(_Step(part, is_key, options))
    return steps


def _explain_tag(place: str, options: _Options, value: object) -> str:
    known, key = ", ".join(options.sections), options.discriminator
    given = value.get(key) if isinstance(value, dict) else None
    if given is None:
        return f"{place}.{key}: missing; add one of {known}"
    return f"{place}.{key}: choose one of {known}, got {given!r}"

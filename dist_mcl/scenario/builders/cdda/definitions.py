"""Things as the game's JSON files define them, with what they inherit by "copy-from"."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dist_mcl.errors import UserError

_ITEMS = frozenset(
    {
        *("GUN", "GUNMOD", "MAGAZINE", "AMMO", "ARMOR", "TOOL", "TOOL_ARMOR", "BOOK", "COMESTIBLE", "GENERIC"),
        *("BIONIC_ITEM", "PET_ARMOR", "ENGINE", "WHEEL", "TOOLMOD", "BATTERY"),
    }
)
_OTHERS = frozenset({"MONSTER", "furniture", "terrain", "vehicle_part", "mutation", "bionic"})
_DEEPEST = 12
_MARKUP = re.compile(r"<.*?>")

Definition = dict[str, Any]
# id -> type -> definition
_Index = Mapping[str, Mapping[str, Definition]]


@dataclass(frozen=True)
class Thing:
    """One thing of the game.

    Attributes:
        id: the game's own.
        kind: its JSON type, e.g. "MONSTER".
        file: the file that defines it, below the game's folder.
        name, description: in English, without markup.
        fields: all of its definition, inherited fields included.
    """

    id: str
    kind: str
    file: str
    name: str
    description: str
    fields: Mapping[str, Any]

    def values(self, field: str) -> list[str]:
        """A field that holds one value, several or none."""
        value = self.fields.get(field)
        many = value if isinstance(value, list) else [] if value is None else [value]
        return [str(one) for one in many]


def read_things(files: Mapping[str, bytes]) -> Iterator[Thing]:
    """All items, monsters, furniture and terrain; an id that several types share is the first one's.

    Args:
        files: contents by path below the game's folder.

    Raises:
        UserError: a definition file is damaged.
    """
    defined: dict[str, dict[str, Definition]] = defaultdict(dict)
    abstract: dict[str, dict[str, Definition]] = defaultdict(dict)
    for definition in _definitions(files):
        kind, ids = definition["type"], definition.get("id")
        for one in ids if isinstance(ids, list) else [ids] if isinstance(ids, str) else []:
            defined[one][kind] = {**definition, "id": one} if isinstance(ids, list) else definition
        if "abstract" in definition:
            abstract[definition["abstract"]][kind] = definition
    for thing_id, by_kind in defined.items():
        kinds = [kind for kind in by_kind if kind in _ITEMS | _OTHERS]
        if kinds:
            yield _thing(thing_id, _resolved(by_kind[kinds[0]], defined, abstract))


def _definitions(files: Mapping[str, bytes]) -> Iterator[Definition]:
    for path in sorted(path for path in files if path.startswith("json/")):
        try:
            content = json.loads(files[path])
        except ValueError as error:
            raise UserError(f"{path}: not JSON ({error}); delete the downloaded package and run again") from error
        for one in content if isinstance(content, list) else [content]:
            if isinstance(one, dict) and one.get("type"):
                yield {**one, "_file": path}


def _resolved(definition: Definition, defined: _Index, abstract: _Index, depth: int = 0) -> Definition:
    """The definition on top of all that it copies from."""
    parent = definition.get("copy-from")
    if not parent or depth > _DEEPEST:
        return dict(definition)
    kind = definition["type"]
    candidates = {**abstract.get(parent, {}), **defined.get(parent, {})}
    related = [one for other, one in candidates.items() if (other in _ITEMS) == (kind in _ITEMS)]
    base = candidates.get(kind) or next(iter(related), None)
    if base is None or base is definition:  # a thing may be said to copy from its own name
        return dict(definition)
    inherited = _resolved(base, defined, abstract, depth + 1)
    inherited.pop("abstract", None)
    return {**inherited, **definition}


def _thing(thing_id: str, fields: Definition) -> Thing:
    description = " ".join(_MARKUP.sub("", _english(fields.get("description"))).split())
    return Thing(
        thing_id, fields["type"], fields["_file"], _english(fields.get("name")) or thing_id, description, fields
    )


def _english(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("str") or value.get("str_sp") or value.get("ctxt")
    return value if isinstance(value, str) else ""

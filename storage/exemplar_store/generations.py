"""Where things lie in a store, and which generation is its head."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exemplar_store.disk import names_in, read_inside
from exemplar_store.errors import Damaged, NotAStore, StoreError, shown
from exemplar_store.records import (
    FORMAT,
    VERSION,
    BudgetPolicy,
    Generation,
    Record,
    StoreInfo,
    parse_record,
    seal,
    unseal,
)

_GENERATION_FILE = re.compile(r"([0-9]{8})\.json")


@dataclass(frozen=True)
class Snapshot:
    """A store at one generation.

    Attributes:
        info_bytes: size of store.json.
        used_bytes: size of every file reachable from the generation: store.json, the generation's file, and all files
            of its segments. This is what the budget limits.
    """

    root: Path
    info: StoreInfo
    generation: Generation
    info_bytes: int
    used_bytes: int


def generation_path(root: Path, number: int) -> Path:
    return root / "generations" / f"{number:08d}.json"


def generation_numbers(root: Path) -> list[int]:
    """Numbers of all generations on disk, ascending."""
    matches = map(_GENERATION_FILE.fullmatch, names_in(root / "generations"))
    return [int(match[1]) for match in matches if match]


def is_generation_file(name: str) -> bool:
    return _GENERATION_FILE.fullmatch(name) is not None


def sealed_record(record: Record) -> bytes:
    """The file of a record."""
    fields: dict[str, Any] = json.loads(record.model_dump_json())
    return seal(fields)


def read_info(root: Path) -> tuple[StoreInfo, int]:
    """``store.json`` and its size in bytes.

    Raises:
        NotAStore: there is no such folder, or no store.json in it.
    """
    path = root / "store.json"
    try:
        if not root.is_dir():
            is_file = root.exists()
            raise NotAStore(f"{root}: {'is not a folder' if is_file else 'does not exist'}; give a store's folder")
        if not path.exists():
            raise NotAStore(f"{root}: has no store.json; this is no exemplar store")
    except OSError as error:
        raise StoreError(f"{shown(root, 300)}: {error.strerror}") from error
    data = read_inside(root, path)
    return parse_record(StoreInfo, unseal(data, str(path)), str(path)), len(data)


def read_snapshot(root: Path, number: int | None = None) -> Snapshot:
    """The store at generation ``number``, or at its head: the highest number.

    Raises:
        NotAStore, UnsupportedFormat: this is nothing that can be read here.
        Damaged: a file is not what was written. There is no falling back to an older generation.
        StoreError: the generation asked for is gone.
    """
    info, info_bytes = read_info(root)
    while True:
        numbers = generation_numbers(root)
        if not numbers:
            raise Damaged(f"{root / 'generations'}: holds no generation; every store has one from its creation on")
        if number is not None and not 0 <= number <= numbers[-1]:
            raise StoreError(f"{root}: there is no generation {number}, the store is at {numbers[-1]}")
        if number is not None and number not in numbers:
            raise StoreError(f"{root}: generation {number} is gone, the store is at {numbers[-1]}; open it again")
        try:
            generation, size = _read_generation(root, info, numbers[-1] if number is None else number)
        except Damaged:
            if generation_numbers(root)[-1:] == numbers[-1:]:
                raise  # else a commit has superseded and removed it meanwhile
        else:
            used_bytes = info_bytes + size + sum(ref.bytes for ref in generation.segments)
            return Snapshot(root, info, generation, info_bytes, used_bytes)


def _read_generation(root: Path, info: StoreInfo, number: int) -> tuple[Generation, int]:
    """A generation and the size of its file in bytes."""
    path = generation_path(root, number)
    data = read_inside(root, path)
    generation = parse_record(Generation, unseal(data, str(path)), str(path))
    if generation.number != number or generation.store != info.uuid:
        raise Damaged(
            f"{path}: says it is generation {generation.number} of store {shown(generation.store)}; it was moved "
            "here from elsewhere"
        )
    if len({ref.name for ref in generation.segments}) != len(generation.segments):
        raise Damaged(f"{path}: names a segment twice")
    return generation, len(data)


@dataclass(frozen=True)
class Retained:
    """The generations that a store keeps and that are still there.

    Attributes:
        snapshots: oldest first, the head last.
        damaged: what is wrong with older ones. What they held cannot be known, so they are given up.
    """

    snapshots: list[Snapshot]
    damaged: list[Damaged]


def retained(head: Snapshot, keep: int | None = None) -> Retained:
    """The head, and the older generations that the store keeps.

    Args:
        keep: how many to keep, instead of what the store says.
    """
    others = (head.info.keep_generations if keep is None else keep) - 1
    older = [number for number in generation_numbers(head.root) if number < head.generation.number]
    found = Retained([], [])
    for number in older[max(0, len(older) - others) :]:
        try:
            found.snapshots.append(read_snapshot(head.root, number))
        except Damaged as error:
            found.damaged.append(error)
    found.snapshots.append(head)
    return found


def new_info(
    uuid: str, run_id: str, budget_bytes: int, policy: BudgetPolicy | None = None, keep_generations: int = 1
) -> StoreInfo:
    """The store.json of a new store."""
    return StoreInfo(
        format=FORMAT,
        version=VERSION,
        required_features=(),
        uuid=uuid,
        run_id=run_id,
        budget_bytes=budget_bytes,
        policy=policy or BudgetPolicy(),
        keep_generations=keep_generations,
    )


def empty_generation(uuid: str) -> Generation:
    """Generation 0, which every store is created with."""
    return Generation(
        version=VERSION, required_features=(), store=uuid, number=0, stages=(), class_names={}, segments=()
    )

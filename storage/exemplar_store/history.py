"""The generations that a store still has: which they are, how they differ, and what they take."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exemplar_store import disk
from exemplar_store.errors import Damaged
from exemplar_store.generations import Snapshot, generation_numbers, generation_path, read_info, read_snapshot, retained
from exemplar_store.reader import StoreReader
from exemplar_store.summary import listing
from exemplar_store.transaction import unreachable

Keys = list[tuple[int, int, int]]  # stage, label and sample id name an exemplar of a store


def generation_log(path: Path | str) -> list[dict[str, Any]]:
    """One record per generation on disk, oldest first; ``added`` and ``removed`` count against the one before it.

    A generation that is damaged has a member ``problem`` in the place of its facts.
    """
    root = Path(path).absolute()
    read_info(root)  # first of all: is it a store at all
    numbers = generation_numbers(root)
    records: list[dict[str, Any]] = []
    before: set[tuple[int, int, int]] | None = None
    for number in numbers:
        try:
            with closing(StoreReader(root, number)) as reader:
                keys = set(_keys(reader))
                facts = _facts(reader)
        except Damaged as error:
            records.append({"generation": number, "head": number == numbers[-1], "problem": str(error)})
            continue
        facts |= {
            "head": number == numbers[-1],
            "added": None if before is None else len(keys - before),
            "removed": None if before is None else len(before - keys),
        }
        records.append(facts)
        before = keys
    return records


def difference(path: Path | str, older: int, newer: int) -> dict[str, Any]:
    """What lies between two generations on disk: exemplars added and removed, in all and by class.

    Raises:
        StoreError: one of them is gone.
    """
    with closing(StoreReader(path, older)) as before, closing(StoreReader(path, newer)) as after:
        old, new = _keys(before), _keys(after)
        removed, added = _missing_from(new, old), _missing_from(old, new)
        names = before.snapshot.generation.class_names | after.snapshot.generation.class_names
        labels = sorted({label for _, label, _ in (*old, *new)})
        counts = [Counter(label for _, label, _ in keys) for keys in (old, new)]
        return {
            "from": _facts(before),
            "to": _facts(after),
            "by_class": [
                {
                    "label": label,
                    "name": names.get(label),
                    "before": counts[0][label],
                    "after": counts[1][label],
                    "added": int((after.labels[added] == label).sum()),
                    "removed": int((before.labels[removed] == label).sum()),
                }
                for label in labels
            ],
            "added": listing(after, added),
            "removed": listing(before, removed),
        }


def disk_usage(path: Path | str) -> list[dict[str, Any]]:
    """Files and bytes on disk: what the head needs, what only older generations need, and what nobody needs.

    ``bytes`` are what the budget counts; ``allocated`` are the blocks that the filesystem says it has given.
    """
    head = read_snapshot(Path(path).absolute())
    reachable = _reachable(head)
    kept = {file for one in retained(head).snapshots for file in _reachable(one)}
    return [
        _usage("head", sorted(reachable)),
        _usage("older generations", sorted(kept - reachable)),
        _usage("leftovers", unreachable(head)),
    ]


def _reachable(snapshot: Snapshot) -> set[Path]:
    root = snapshot.root
    segments = {root / "segments" / ref.name for ref in snapshot.generation.segments}
    return {root / "store.json", generation_path(root, snapshot.generation.number), *segments}


def _usage(part: str, paths: list[Path]) -> dict[str, Any]:
    sizes = [disk.usage(path) for path in paths]
    size, allocated, files = (sum(column) for column in zip(*sizes, strict=True)) if sizes else (0, 0, 0)
    return {"part": part, "files": files, "bytes": size, "allocated": allocated}


def _facts(reader: StoreReader) -> dict[str, Any]:
    generation = reader.snapshot.generation
    return {
        "generation": generation.number,
        "stages": list(generation.stages),
        "exemplars": len(reader),
        "segments": len(generation.segments),
        "bytes": reader.snapshot.used_bytes,
    }


def _keys(reader: StoreReader) -> Keys:
    columns = (reader.stages, reader.labels, reader.sample_ids)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _missing_from(others: Keys, keys: Keys) -> NDArray[np.int64]:
    """Places of the keys that the others lack."""
    known = set(others)
    return np.array([place for place, key in enumerate(keys) if key not in known], np.int64)

"""The exemplars that the next generation may hold: those of the head, and those that writers bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exemplar_store.errors import StoreError
from exemplar_store.generations import Snapshot
from exemplar_store.outline import Outline
from exemplar_store.segment_reader import SegmentReader


@dataclass(frozen=True)
class Candidate:
    """An exemplar that may be in the next generation, and where its payload is.

    Attributes:
        segment: the segment of the head that holds it, None if it is new.
        row: its place in that segment; 0 if it is new.
        holder: rank of the process that brings it; 0 if it is not new.
    """

    outline: Outline
    segment: str | None = None
    row: int = 0
    holder: int = 0


def held(snapshot: Snapshot) -> list[Candidate]:
    """Every exemplar of a generation; payloads are not read.

    Raises:
        Damaged: a segment cannot be read.
    """
    found = []
    for ref in snapshot.generation.segments:
        segment = SegmentReader(snapshot.root, ref)
        found += [Candidate(segment.outline(row), ref.name, row) for row in range(len(segment))]
        segment.close()
    return found


def with_smaller(held: Sequence[Candidate], smaller: Sequence[Candidate]) -> list[Candidate]:
    """What is held, some of it replaced by the same exemplars with fewer tokens.

    Raises:
        StoreError: one is not held, is given twice, or is not a part of what is held.
    """
    places = {one.outline.order: place for place, one in enumerate(held)}
    result = list(held)
    for one in smaller:
        facts = one.outline.facts
        place = places.pop(one.outline.order, None)
        if place is None:
            raise StoreError(f"sample {facts.sample_id} of class {facts.label} is to shrink, but not held, or twice")
        if not _is_part(one.outline, held[place].outline):
            raise StoreError(
                f"sample {facts.sample_id} of class {facts.label} is to shrink, but is no part of its old self"
            )
        result[place] = one
    return result


def _is_part(new: Outline, old: Outline) -> bool:
    pairs = list(zip(new.facts.parts, old.facts.parts, strict=False))
    return (
        replace(new.facts, parts=()) == replace(old.facts, parts=())
        and len(new.facts.parts) == len(old.facts.parts)
        and all((a.modality, a.encoding, a.grid) == (b.modality, b.encoding, b.grid) for a, b in pairs)
        and all(int.from_bytes(a.mask, "little") & ~int.from_bytes(b.mask, "little") == 0 for a, b in pairs)
        and any(a.mask != b.mask for a, b in pairs)
    )


def in_order(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates in rank-major order.

    Raises:
        StoreError: a sample appears twice.
    """
    facts = [one.outline.facts for one in candidates]
    seen = Counter((one.stage, one.label, one.sample_id) for one in facts)
    twice = [key for key, count in seen.items() if count > 1]
    if twice:
        stage, label, sample = min(twice)
        raise StoreError(f"sample {sample} of class {label}, stage {stage}, is given twice or is in the store already")
    return tuple(sorted(candidates, key=lambda one: one.outline.order))

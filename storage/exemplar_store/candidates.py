"""The exemplars that the next generation may hold: those of the head, and those that writers bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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

"""Which segments hold a generation's exemplars, and which process writes which of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exemplar_store.candidates import Candidate
from exemplar_store.generations import Snapshot, sealed_record
from exemplar_store.records import VERSION, Generation, SegmentRef
from exemplar_store.segment_writer import measure_segment

WRITER_BYTES = 4 << 20  # payload that is worth a segment of its own, which takes some 3 KB of metadata
SEGMENT_ALLOWANCE = 4 << 10  # bytes that admission sets aside for each of them


@dataclass(frozen=True)
class Layout:
    """Where a generation's exemplars go.

    Attributes:
        kept: segments of the head that stay as they are.
        shares: for each process the exemplars of the segment that it writes, in rank-major order; may be empty.
    """

    kept: tuple[SegmentRef, ...]
    shares: tuple[tuple[Candidate, ...], ...]


@dataclass(frozen=True)
class Change:
    """What makes a new generation of a head, apart from which exemplars it holds.

    Attributes:
        stage: the stage that it commits, None if it commits none.
        class_names: by class id, more than are needed.
    """

    snapshot: Snapshot
    stage: int | None
    class_names: Mapping[int, str]

    @property
    def stages(self) -> tuple[int, ...]:
        """All stages committed once the change is made."""
        before = self.snapshot.generation.stages
        return before if self.stage is None else (*before, self.stage)

    @property
    def segment_stage(self) -> int:
        """The stage that new segments are named after."""
        return self.stages[-1] if self.stages else 0

    def __str__(self) -> str:
        return "the change" if self.stage is None else f"stage {self.stage}"

    def generation(self, chosen: Sequence[Candidate], segments: Sequence[SegmentRef]) -> Generation:
        """The record of the new generation, which holds ``chosen`` in ``segments``."""
        before = self.snapshot.generation
        names = {**before.class_names, **self.class_names}
        labels = {label for one in chosen for label in one.outline.facts.labels}
        return Generation(
            version=VERSION,
            required_features=(),
            store=before.store,
            number=before.number + 1,
            stages=self.stages,
            class_names={label: names[label] for label in sorted(labels & names.keys())},
            segments=tuple(segments),
        )

    def measure(self, chosen: Sequence[Candidate], layout: Layout) -> int:
        """Exact bytes of the store once ``chosen`` lies as ``layout`` says."""
        new = [
            measure_segment([one.outline for one in share], self.segment_stage, writer)
            for writer, share in enumerate(layout.shares)
            if share
        ]
        generation = self.generation(chosen, [*layout.kept, *new])
        return self.snapshot.info_bytes + len(sealed_record(generation)) + sum(ref.bytes for ref in generation.segments)


def single(chosen: Sequence[Candidate]) -> Layout:
    """Everything in one segment, written by the first process."""
    return Layout((), (tuple(chosen),))


def untouched(chosen: Sequence[Candidate], snapshot: Snapshot) -> tuple[SegmentRef, ...]:
    """Segments of the head that may stay: they keep all their exemplars, and are not small while others are written."""
    survivors = Counter(one.segment for one in chosen)
    whole = [ref for ref in snapshot.generation.segments if survivors[ref.name] == ref.exemplars]
    if sum(ref.exemplars for ref in whole) == len(chosen):
        return tuple(whole)
    return tuple(ref for ref in whole if ref.bytes >= WRITER_BYTES)


def spread(chosen: Sequence[Candidate], kept: Sequence[SegmentRef], world_size: int) -> Layout:
    """What does not lie in ``kept``, written by as many processes as is worth it.

    Processes write what they bring themselves, and what has to move out of old segments is dealt to those that have
    least to do, in rank-major runs. Whoever would write less than `WRITER_BYTES` leaves it to the first process.
    """
    names = {ref.name for ref in kept}
    moved = [one for one in chosen if one.segment not in names]
    shares = [[one for one in moved if one.segment is None and one.holder == rank] for rank in range(world_size)]
    _deal([one for one in moved if one.segment is not None], shares)
    for share in shares[1:]:
        if _payload(share) < WRITER_BYTES:
            shares[0] += share
            share.clear()
    return Layout(tuple(kept), tuple(tuple(sorted(share, key=lambda one: one.outline.order)) for share in shares))


def _deal(survivors: Sequence[Candidate], shares: list[list[Candidate]]) -> None:
    """Fill the shares up to a common level, one after the other."""
    loads = [_payload(share) for share in shares]
    level = max(WRITER_BYTES, (sum(loads) + _payload(survivors)) / len(shares))
    rank = 0
    for one in survivors:
        while loads[rank] >= level and rank < len(shares) - 1:
            rank += 1
        shares[rank].append(one)
        loads[rank] += one.outline.payload_bytes


def _payload(candidates: Sequence[Candidate]) -> int:
    return sum(one.outline.payload_bytes for one in candidates)

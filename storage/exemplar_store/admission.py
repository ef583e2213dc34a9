"""What enters the memory and what leaves it: the longest rank-major prefix whose exact bytes fit the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exemplar_store.errors import BudgetTooSmall, StoreError
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, sealed_record
from exemplar_store.records import FORMAT, VERSION, Generation, StoreInfo
from exemplar_store.segment_writer import Segment, build_segment

SMALL_SEGMENT = 1 << 20  # bytes; below this a segment is merged into the next one, which saves its 3 KB of metadata
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Candidate:
    """An exemplar that may be in the next generation; ``segment`` names where it lies now, None if it is new."""

    exemplar: EncodedExemplar
    segment: str | None


@dataclass(frozen=True)
class Admission:
    """The next generation, whole in memory; its size is exact. `ExemplarStore.commit` makes it true.

    Attributes:
        base: number of the generation it was planned on.
        stage: the stage that it commits.
        generation: the record that will be published.
        segment: the new segment, None if nothing has to be written.
        total_bytes: size of every file reachable after the commit.
        admitted: new exemplars that fit.
        refused: new exemplars that did not fit.
        evicted: older exemplars that leave.
    """

    base: int
    stage: int
    generation: Generation
    segment: Segment | None
    total_bytes: int
    admitted: int
    refused: int
    evicted: int


@dataclass(frozen=True)
class Planner:
    """Finds the admission of one stage."""

    snapshot: Snapshot
    stage: int
    class_names: Mapping[int, str]
    candidates: tuple[Candidate, ...]

    def largest(self) -> Admission:
        """The longest prefix of the candidates that fits the budget.

        Raises:
            BudgetTooSmall: there are candidates, and not even the first one fits.
        """
        budget = self.snapshot.info.budget_bytes
        fits, best = 0, self.admission(0)
        too_many = self._payload_limit(budget) + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            trial = self.admission(middle)
            if trial.total_bytes <= budget:
                fits, best = middle, trial
            else:
                too_many = middle
        if self.candidates and fits == 0:
            raise self._too_small(budget)
        return best

    def admission(self, count: int) -> Admission:
        """The generation that holds the first ``count`` candidates, built and measured."""
        chosen = self.candidates[:count]
        new = [one for one in chosen if one.segment is None]
        kept = self._kept_segments(chosen, merge_small=bool(new))
        moved = [one.exemplar for one in chosen if one.segment not in kept]
        segment = build_segment(moved, self.stage) if moved else None
        generation = self._generation(kept, segment, {label for one in chosen for label in one.exemplar.labels})
        before = self.snapshot
        all_new = sum(one.segment is None for one in self.candidates)
        return Admission(
            before.generation.number,
            self.stage,
            generation,
            segment,
            total_bytes=len(sealed_record(before.info)) + generation_bytes(generation),
            admitted=len(new),
            refused=all_new - len(new),
            evicted=len(self.candidates) - all_new - (count - len(new)),
        )

    def _payload_limit(self, budget: int) -> int:
        """How many candidates fit if only payloads counted: more cannot."""
        for count, one in enumerate(self.candidates):
            budget -= sum(len(part.payload) for part in one.exemplar.parts)
            if budget < 0:
                return count
        return len(self.candidates)

    def _kept_segments(self, chosen: Sequence[Candidate], merge_small: bool) -> set[str | None]:
        """Segments that stay as they are: all their exemplars survive, and they are not worth merging."""
        survivors = Counter(one.segment for one in chosen)
        return {
            ref.name
            for ref in self.snapshot.generation.segments
            if survivors[ref.name] == ref.exemplars and not (merge_small and ref.bytes < SMALL_SEGMENT)
        }

    def _generation(self, kept: set[str | None], segment: Segment | None, labels: set[int]) -> Generation:
        before = self.snapshot.generation
        names = {**before.class_names, **self.class_names}
        refs = [ref for ref in before.segments if ref.name in kept]
        return Generation(
            version=VERSION,
            required_features=(),
            store=before.store,
            number=before.number + 1,
            stages=(*before.stages, self.stage),
            class_names={label: names[label] for label in sorted(labels & names.keys())},
            segments=(*refs, segment.ref) if segment else tuple(refs),
        )

    def _too_small(self, budget: int) -> BudgetTooSmall:
        first, needed = self.candidates[0].exemplar, self.admission(1).total_bytes
        return BudgetTooSmall(
            f"budget_bytes is {budget}; a memory of one exemplar (sample {first.sample_id} of class "
            f"{first.label}) takes {needed} bytes; raise the budget to at least that"
        )


def generation_bytes(generation: Generation) -> int:
    """Size of a generation's file and of all its segments."""
    return len(sealed_record(generation)) + sum(ref.bytes for ref in generation.segments)


def in_order(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates in rank-major order.

    Raises:
        StoreError: a sample appears twice.
    """
    seen = Counter((one.exemplar.stage, one.exemplar.label, one.exemplar.sample_id) for one in candidates)
    twice = [key for key, count in seen.items() if count > 1]
    if twice:
        stage, label, sample = min(twice)
        raise StoreError(f"sample {sample} of class {label}, stage {stage}, is given twice or is in the store already")
    return tuple(sorted(candidates, key=lambda one: one.exemplar.order))


def minimum_bytes(
    encoded: EncodedExemplar,
    *,
    run_id: str,
    budget_bytes: int,
    stages: Sequence[int] = (1,),
    class_names: Mapping[int, str] | None = None,
) -> int:
    """Exact bytes of a store that holds this one exemplar after the last of ``stages``: ask before training.

    A budget below this is refused by `ExemplarStore.plan` when the exemplar comes first.
    """
    info = new_info(ZERO_UUID, run_id, budget_bytes)
    empty = empty_generation(ZERO_UUID).model_copy(update={"stages": tuple(stages[:-1]), "number": len(stages) - 1})
    planner = Planner(Snapshot(Path(), info, empty, 0), stages[-1], class_names or {}, (Candidate(encoded, None),))
    return planner.admission(1).total_bytes


def new_info(uuid: str, run_id: str, budget_bytes: int) -> StoreInfo:
    """The store.json of a new store."""
    return StoreInfo(
        format=FORMAT, version=VERSION, required_features=(), uuid=uuid, run_id=run_id, budget_bytes=budget_bytes
    )


def empty_generation(uuid: str) -> Generation:
    """Generation 0, which every store is created with."""
    return Generation(
        version=VERSION, required_features=(), store=uuid, number=0, stages=(), class_names={}, segments=()
    )

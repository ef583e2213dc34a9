"""What enters the memory and what leaves it: the longest prefix of the policy's order whose bytes fit the budget.

What is admitted is a function of the exemplars and the budget alone, whoever brings them and however they lie on disk:
a prefix is charged what it takes in a single segment, and an allowance for being written by several processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exemplar_store.candidates import Candidate
from exemplar_store.errors import BudgetTooSmall
from exemplar_store.exemplar import EncodedExemplar
from exemplar_store.generations import Snapshot, empty_generation, new_info, sealed_record
from exemplar_store.layout import SEGMENT_ALLOWANCE, WRITER_BYTES, Change, Layout, single, spread, untouched
from exemplar_store.outline import outline
from exemplar_store.records import BudgetPolicy, SegmentRef

ZERO_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Admission:
    """What the next generation holds, and where. `ExemplarStore.commit` makes it true.

    Attributes:
        change: the head that it was planned on, and how the next generation is called.
        chosen: every exemplar of the next generation, payloads apart, in rank-major order.
        layout: where they will lie.
        total_bytes: size of every file reachable after the commit, exactly.
        admitted: new exemplars that fit, and older ones that shrink and fit.
        refused: new exemplars that did not fit, and older ones that shrink and leave nevertheless.
        evicted: other older exemplars that leave.
        mine: the new exemplars that this process brings.
        smaller: the older exemplars that it brings, with fewer tokens.
    """

    change: Change
    chosen: tuple[Candidate, ...]
    layout: Layout
    total_bytes: int
    admitted: int
    refused: int
    evicted: int
    mine: tuple[EncodedExemplar, ...] = ()
    smaller: tuple[EncodedExemplar, ...] = ()

    @property
    def base(self) -> int:
        """Number of the generation that it was planned on."""
        return self.change.snapshot.generation.number


@dataclass(frozen=True)
class Planner:
    """Finds the admission of one change, for ``world_size`` writers, among candidates in the order of the policy."""

    change: Change
    candidates: tuple[Candidate, ...]
    world_size: int = 1

    @property
    def budget(self) -> int:
        return self.change.snapshot.info.budget_bytes

    def largest(self) -> Admission:
        """The longest prefix of the candidates that fits the budget.

        Raises:
            BudgetTooSmall: there are candidates, and not even the first one fits; or there are none, and the list of
                stages alone has outgrown the budget.
        """
        fits, probe = 0, self._payload_limit()
        too_many, turn = probe + 1, 0
        while too_many - fits > 1:
            charge = self.charge(probe)
            if charge <= self.budget:
                fits = probe
            else:
                too_many = probe
            # Exemplars are much alike: a straight line leads close to the end, halving now and then is the way home.
            straight = probe + (self.budget - charge) * probe // charge
            probe = min(max(straight if turn % 2 == 0 else (fits + too_many) // 2, fits + 1), too_many - 1)
            turn += 1
        if self.candidates and fits == 0:
            raise self._too_small()
        admission = self.admission(fits)
        if admission.total_bytes > self.budget:
            raise BudgetTooSmall(
                f"budget_bytes is {self.budget}; {self.change} alone takes {admission.total_bytes} bytes; "
                "raise the budget to at least that"
            )
        return admission

    def charge(self, count: int) -> int:
        """What the first ``count`` candidates count against the budget: never less than they take on disk."""
        chosen = self._first(count)
        payload = sum(one.outline.payload_bytes for one in chosen)
        return self.change.measure(chosen, single(chosen)) + SEGMENT_ALLOWANCE * (payload // WRITER_BYTES)

    def admission(self, count: int) -> Admission:
        """The generation that holds the first ``count`` candidates."""
        chosen = self._first(count)
        return self.laid_out(chosen, untouched(chosen, self.change.snapshot))

    def laid_out(self, chosen: tuple[Candidate, ...], kept: Sequence[SegmentRef]) -> Admission:
        """The generation of ``chosen`` that leaves the segments ``kept`` where they are, measured."""
        layout = spread(chosen, kept, self.world_size)
        size = self.change.measure(chosen, layout)
        if size > self.budget:  # the allowance was not enough for so many segments
            layout = single(chosen)
            size = self.change.measure(chosen, layout)
        admitted = sum(one.segment is None for one in chosen)
        new = sum(one.segment is None for one in self.candidates)
        evicted = len(self.candidates) - new - (len(chosen) - admitted)
        return Admission(self.change, chosen, layout, size, admitted, new - admitted, evicted)

    def _first(self, count: int) -> tuple[Candidate, ...]:
        """The first candidates in rank-major order, in which they are written."""
        return tuple(sorted(self.candidates[:count], key=lambda one: one.outline.order))

    def _payload_limit(self) -> int:
        """How many candidates fit if only payloads counted: more cannot."""
        budget = self.budget
        for count, one in enumerate(self.candidates):
            budget -= one.outline.payload_bytes
            if budget < 0:
                return count
        return len(self.candidates)

    def _too_small(self) -> BudgetTooSmall:
        first = self.candidates[0].outline.facts
        return BudgetTooSmall(
            f"budget_bytes is {self.budget}; a memory of one exemplar (sample {first.sample_id} of class "
            f"{first.label}) takes {self.charge(1)} bytes; raise the budget to at least that"
        )


def minimum_bytes(
    encoded: EncodedExemplar,
    *,
    run_id: str,
    budget_bytes: int,
    stages: Sequence[int] = (1,),
    class_names: Mapping[int, str] | None = None,
    policy: BudgetPolicy | None = None,
    keep_generations: int = 1,
) -> int:
    """Exact bytes of a store that holds this one exemplar after the last of ``stages``: ask before training.

    A budget below this is refused by `ExemplarStore.plan` when the exemplar comes first. Arguments are those of
    `ExemplarStore.create` and `ExemplarStore.plan`.
    """
    info = new_info(ZERO_UUID, run_id, budget_bytes, policy, keep_generations)
    empty = empty_generation(ZERO_UUID).model_copy(update={"stages": tuple(stages[:-1]), "number": len(stages) - 1})
    snapshot = Snapshot(Path(), info, empty, len(sealed_record(info)), 0)
    return Planner(Change(snapshot, stages[-1], class_names or {}), (Candidate(outline(encoded)),)).charge(1)

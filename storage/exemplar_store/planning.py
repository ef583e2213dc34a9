"""The admissions that a store plans: a stage's, a compaction's, a removal's, and the steps of evicting first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from exemplar_store.admission import Admission, Planner
from exemplar_store.candidates import Candidate, held, in_order, with_smaller
from exemplar_store.errors import StoreError
from exemplar_store.generations import Snapshot
from exemplar_store.layout import Change, Layout, untouched
from exemplar_store.outline import Outline
from exemplar_store.policy import by_policy


def stage_admission(
    head: Snapshot,
    stage: int,
    new: Sequence[Sequence[Outline]],
    names: Mapping[int, str],
    smaller: Sequence[Sequence[Outline]] = (),
) -> Admission:
    """What the memory holds after ``stage``; an admission that changes nothing if the stage is committed already.

    Args:
        new: the new exemplars that each process brings.
        names: class names by id.
        smaller: exemplars of the head with fewer tokens, that each process brings.

    Raises:
        BudgetTooSmall: not even one exemplar fits.
        StoreError: an exemplar is given twice or is in the store already, or one that shrinks is not.
        Damaged: the head cannot be read.
    """
    change = Change(head, stage, names)
    if stage in head.generation.stages:
        return Admission(change, (), Layout(head.generation.segments, ()), head.used_bytes, 0, 0, 0)
    brought, shrunk = (
        [Candidate(one, holder=rank) for rank, share in enumerate(shares) for one in share] for shares in (new, smaller)
    )
    candidates = by_policy(in_order([*with_smaller(held(head), shrunk), *brought]), head.info.policy)
    return Planner(change, candidates, len(new)).largest()


def compaction(head: Snapshot, world_size: int) -> Admission:
    """The head in as few segments as are worth it for so many processes."""
    chosen = in_order(held(head))
    return Planner(Change(head, None, {}), chosen, world_size).laid_out(chosen, ())


def removal(head: Snapshot, sample_ids: Collection[int]) -> Admission:
    """The head without the exemplars of some samples.

    Raises:
        StoreError: one of the samples has no exemplar there.
    """
    everything = held(head)
    if unknown := set(sample_ids) - {one.outline.facts.sample_id for one in everything}:
        raise StoreError(
            f"{head.root}: holds no exemplar of sample {min(unknown)}; `exemplar-store ls` shows which there are"
        )
    chosen = in_order([one for one in everything if one.outline.facts.sample_id not in sample_ids])
    return Planner(Change(head, None, {}), chosen).laid_out(chosen, untouched(chosen, head))


def eviction(head: Snapshot, admission: Admission) -> Admission | None:
    """The head without what ``admission`` evicts from one segment; None if all that it evicts is gone."""
    staying = {one.outline.order for one in admission.chosen}
    everything = held(head)
    leaving = {one.segment for one in everything if one.segment and one.outline.order not in staying}
    if not leaving:
        return None
    name = min(leaving)
    chosen = in_order([one for one in everything if one.segment != name or one.outline.order in staying])
    kept = [ref for ref in head.generation.segments if ref.name != name]
    return Planner(Change(head, None, {}), chosen).laid_out(chosen, kept)

"""Whose exemplars go first when the budget is short.

A policy is an order. Admission takes the longest prefix that fits, so a policy never leaves bytes unused: what one
class or modality does not need is there for the others: max-min fairness (Bertsekas and Gallager, Data Networks,
section 6.5.2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from exemplar_store.candidates import Candidate
from exemplar_store.records import BudgetPolicy


def by_policy(candidates: Sequence[Candidate], policy: BudgetPolicy) -> tuple[Candidate, ...]:
    """Candidates, given in rank-major order, in the order in which they are admitted.

    With ``share`` "class" an exemplar waits until its class has come to as many bytes of payload, per unit of weight,
    as the others; within a class ranks go first to last. With "modality" each modality of an exemplar has to wait, as
    with "class" each class of an exemplar that has several.
    """
    if policy.share == "total":
        return tuple(candidates)
    levels = list(_levels(candidates, policy))
    places = sorted(range(len(candidates)), key=lambda place: (levels[place], place))
    return tuple(candidates[place] for place in places)


def _levels(candidates: Sequence[Candidate], policy: BudgetPolicy) -> Iterator[float]:
    """For each candidate the bytes per weight that its fullest class or modality has come to with it."""
    used: dict[str, int] = defaultdict(int)
    for one in candidates:
        sizes = one.outline.modality_bytes
        if policy.share == "class":
            sizes = dict.fromkeys(map(str, one.outline.facts.labels), one.outline.payload_bytes)
        for name, size in sizes.items():
            used[name] += size
        yield max(used[name] / policy.weights.get(name, 1.0) for name in sizes)

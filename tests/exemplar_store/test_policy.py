"""Whose exemplars stay under each policy; the budget holds under all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exemplar_store import BudgetPolicy, EncodedExemplar, Exemplar, ExemplarStore, StoreReader, TokenIds, Tokens, encode
from exemplar_store.candidates import Candidate, in_order
from exemplar_store.outline import outline
from exemplar_store.policy import by_policy

EncodeClass = Callable[..., list[EncodedExemplar]]
IDS = TokenIds(dtype="<u2")


def words(sample: int, label: int, rank: int, **lengths: int) -> Candidate:
    tokens = {name: Tokens.full(np.zeros(n, np.int32), (n,)) for name, n in lengths.items()}
    return Candidate(outline(encode(Exemplar(sample, label, 1, rank, 0.5, tokens), dict.fromkeys(tokens, IDS))))


def class_bytes(store: ExemplarStore) -> dict[int, int]:
    reader = StoreReader(store.path)
    return {label: int(reader.payload_bytes[reader.labels == label].sum()) for label in np.unique(reader.labels)}


def test_total_is_rank_major() -> None:
    candidates = in_order([words(n, n % 3, n // 3, text=n + 1) for n in range(9)])
    assert by_policy(candidates, BudgetPolicy()) == candidates


def test_classes_share_bytes_not_counts() -> None:
    """Class 1 has exemplars of four times the size: while it gets one in, class 0 gets four."""
    small = [words(n, 0, n, text=10) for n in range(8)]
    large = [words(100 + n, 1, n, text=40) for n in range(8)]
    order = by_policy(in_order([*small, *large]), BudgetPolicy(share="class"))
    first = [one.outline.facts.label for one in order[:10]]
    assert first.count(0) == 8 and first.count(1) == 2


def test_weights_are_shares() -> None:
    candidates = in_order([words(100 * label + n, label, n, text=10) for label in (0, 1) for n in range(9)])
    order = by_policy(candidates, BudgetPolicy(share="class", weights={"1": 3.0}))
    assert [one.outline.facts.label for one in order[:8]].count(1) == 6


def test_modalities_share_bytes() -> None:
    """Long sounds do not crowd out short texts."""
    texts = [words(n, 0, n, text=5) for n in range(20)]
    sounds = [words(100 + n, 1, n, audio=50) for n in range(20)]
    candidates = in_order([*texts, *sounds])
    used: dict[str, int] = defaultdict(int)
    for one in by_policy(candidates, BudgetPolicy(share="modality"))[:22]:
        for name, size in one.outline.modality_bytes.items():
            used[name] += size
    assert used == {"text": 200, "audio": 200}


def test_an_exemplar_waits_for_its_fullest_modality() -> None:
    both = words(0, 0, 0, text=50, image=10)
    alone = words(1, 0, 1, image=30)
    assert by_policy(in_order([both, alone]), BudgetPolicy(share="modality")) == (alone, both)


@given(
    lengths=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), min_size=1, max_size=40),
    share=st.sampled_from(["total", "class", "modality"]),
)
def test_ranks_of_a_class_stay_in_order(lengths: list[tuple[int, int]], share: str) -> None:
    ranks: dict[int, int] = defaultdict(int)
    candidates = []
    for number, (label, length) in enumerate(lengths):
        candidates.append(words(number, label, ranks[label], text=length))
        ranks[label] += 1
    order = by_policy(in_order(candidates), BudgetPolicy.model_validate({"share": share}))
    assert sorted(map(id, order)) == sorted(map(id, candidates))
    for label in ranks:
        mine = [one.outline.facts.rank for one in order if one.outline.facts.label == label]
        assert mine == sorted(mine)


@pytest.mark.parametrize("weights", [{}, {"0": 2.0}])
def test_a_store_keeps_to_its_policy_stage_after_stage(
    tmp_path: Path, encode_class: EncodeClass, bytes_on_disk: Callable[[Path], int], weights: dict[str, float]
) -> None:
    """Class 0 keeps 20 patches of 36, the others 4: equal counts would give it most of the bytes."""
    policy = BudgetPolicy(share="class", weights=weights)
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=16_000, run_id="run", policy=policy)
    for stage in range(3):
        store = ExemplarStore.open(store.path)
        store.commit(store.plan(stage, encode_class([stage], 20, stage, kept=4 if stage else 20)))
        assert bytes_on_disk(store.path) == store.used_bytes <= 16_000
    used = class_bytes(store)
    largest = max(StoreReader(store.path).payload_bytes)
    assert abs(used[1] - used[2]) <= largest and abs(used[0] - weights.get("0", 1.0) * used[1]) <= 2 * largest


@pytest.mark.parametrize("wrong", [{"share": "rank"}, {"weights": {"0": 0.0}}, {"weights": {"0": float("inf")}}])
def test_policies_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BudgetPolicy.model_validate(wrong)

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dist_mcl.exemplars import Fresh, Replayed, epoch_batches, micro_batches

EPOCH: dict[str, Any] = {
    "seed": 0,
    "stage": 2,
    "epoch": 1,
    "fresh": range(100, 140),
    "memory_labels": [0, 0, 0, 0, 0, 5, 5, 7],
    "replay_ratio": 1.0,
    "swap_probability": 0.5,
    "fresh_masking": 0.0,
    "batch_size": 8,
}

epochs = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31 - 1),
        "stage": st.integers(1, 20),
        "epoch": st.integers(0, 20),
        "fresh": st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True),
        "memory_labels": st.lists(st.integers(0, 6), max_size=40),
        "replay_ratio": st.sampled_from([0.0, 0.3, 1.0, 2.5]),
        "swap_probability": st.sampled_from([0.0, 0.5, 1.0]),
        "fresh_masking": st.sampled_from([0.0, 0.5, 1.0]),
        "batch_size": st.sampled_from([4, 8, 16]),
    }
)


def flat(batches: list[list[Fresh | Replayed]]) -> list[Fresh | Replayed]:
    return [entry for batch in batches for entry in batch]


def expected_length(epoch: dict[str, Any]) -> int:
    fresh = len(epoch["fresh"])
    return fresh + (round(epoch["replay_ratio"] * fresh) if epoch["memory_labels"] else 0)


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


@given(epochs)
def test_an_epoch_has_every_fresh_sample_once_and_balanced_classes(epoch: dict[str, Any]) -> None:
    batches, length = epoch_batches(**epoch), expected_length(epoch)
    entries = flat(batches)[:length]
    assert Counter(e.index for e in entries if isinstance(e, Fresh)) == Counter(epoch["fresh"])
    replayed = [entry for entry in entries if isinstance(entry, Replayed)]
    assert len(replayed) == length - len(epoch["fresh"])
    labels = epoch["memory_labels"]
    assert all(labels[entry.index] == labels[entry.text] for entry in replayed)
    by_class = Counter(labels[entry.index] for entry in replayed)
    assert not replayed or spread([by_class[label] for label in set(labels)]) <= 1
    by_exemplar = Counter(entry.index for entry in replayed)
    for label in set(labels):
        assert spread([by_exemplar[i] for i, other in enumerate(labels) if other == label]) <= 1


@given(epochs)
def test_batches_are_whole_and_the_last_is_filled_from_the_start(epoch: dict[str, Any]) -> None:
    batches, length, size = epoch_batches(**epoch), expected_length(epoch), epoch["batch_size"]
    entries = flat(batches)
    assert {len(batch) for batch in batches} == {size}
    assert length <= len(entries) < length + size
    assert entries[length:] == [entries[i % length] for i in range(len(entries) - length)]


@given(epochs)
def test_fresh_and_replayed_are_mixed_evenly(epoch: dict[str, Any]) -> None:
    length = expected_length(epoch)
    share, seen = len(epoch["fresh"]) / length, 0
    for count, entry in enumerate(flat(epoch_batches(**epoch))[:length], start=1):
        seen += isinstance(entry, Fresh)
        assert abs(seen - share * count) <= 1


@given(epochs, st.sampled_from([1, 2, 4]))
def test_micro_batches_are_the_batch_in_its_order(epoch: dict[str, Any], size: int) -> None:
    for batch in epoch_batches(**epoch):
        parts = micro_batches(batch, size)
        assert {len(part) for part in parts} == {size}
        assert [entry for part in parts for entry in part] == batch


def test_a_batch_that_is_not_whole_micro_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 8 is not a multiple of 3 samples"):
        micro_batches([Fresh(i) for i in range(8)], 3)


def test_pure_and_keyed_by_seed_stage_and_epoch() -> None:
    assert epoch_batches(**EPOCH) == epoch_batches(**EPOCH)
    for key in ("seed", "stage", "epoch"):
        assert epoch_batches(**{**EPOCH, key: 9}) != epoch_batches(**EPOCH)
    assert epoch_batches(**{**EPOCH, "stage": 1, "epoch": 2}) != epoch_batches(**EPOCH)


def test_no_memory_or_no_replay_gives_only_fresh_samples() -> None:
    for change in ({"memory_labels": []}, {"replay_ratio": 0.0}):
        entries = flat(epoch_batches(**{**EPOCH, **change}))
        assert len(entries) == 40 and all(isinstance(entry, Fresh) for entry in entries)


def test_swaps_are_as_frequent_as_asked_and_change_nothing_else() -> None:
    big = {**EPOCH, "fresh": range(4000), "memory_labels": [0, 0, 0, 1, 1]}
    plain, swapped = (flat(epoch_batches(**{**big, "swap_probability": p})) for p in (0.0, 0.5))
    replayed = [entry for entry in swapped if isinstance(entry, Replayed)]
    assert abs(sum(entry.text != entry.index for entry in replayed) / len(replayed) - 0.5) < 0.04
    assert [(type(entry), entry.index) for entry in swapped] == [(type(entry), entry.index) for entry in plain]
    assert all(entry.text == entry.index for entry in plain if isinstance(entry, Replayed))


def test_fresh_samples_come_masked_as_often_as_asked_and_only_beside_a_memory() -> None:
    big = {**EPOCH, "fresh": range(4000), "fresh_masking": 0.3}
    fresh = [entry for entry in flat(epoch_batches(**big)) if isinstance(entry, Fresh)]
    assert abs(sum(entry.masked for entry in fresh) / len(fresh) - 0.3) < 0.04
    alone = flat(epoch_batches(**{**big, "memory_labels": []}))
    assert not any(entry.masked for entry in alone if isinstance(entry, Fresh))


@given(epochs)
def test_proportional_replay_shows_every_exemplar_once(epoch: dict[str, Any]) -> None:
    batches = epoch_batches(**epoch, sampler="proportional")
    labels, size = epoch["memory_labels"], epoch["batch_size"]
    length = len(epoch["fresh"]) + len(labels)
    assert len(batches) == -(-length // size) and {len(batch) for batch in batches} == {size}
    entries = flat(batches)[:length]
    assert sorted(e.index for e in entries if isinstance(e, Fresh)) == sorted(epoch["fresh"])
    replayed = [entry for entry in entries if isinstance(entry, Replayed)]
    assert sorted(entry.index for entry in replayed) == list(range(len(labels)))
    assert all(labels[entry.index] == labels[entry.text] for entry in replayed)
    assert epoch_batches(**epoch, sampler="proportional") == batches


def test_proportional_replay_is_shuffled_with_the_fresh_samples() -> None:
    big = {**EPOCH, "fresh": range(400), "memory_labels": [0] * 400}
    entries = flat(epoch_batches(**big, sampler="proportional"))
    halves = [sum(isinstance(entry, Fresh) for entry in entries[start : start + 400]) for start in (0, 400)]
    assert sum(halves) == 400 and abs(halves[0] - 200) < 50  # five standard deviations
    assert entries != flat(epoch_batches(**{**big, "epoch": 2}, sampler="proportional"))


@pytest.mark.parametrize("sampler", ["balanced", "proportional"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_out_the_same_micro_batches_in_equally_many_steps(sampler: str, ranks: int) -> None:
    """As the learner does: micro-batch m of every step to rank m mod the number of ranks."""
    batches = epoch_batches(**EPOCH, sampler=sampler)
    shares = [[micro_batches(batch, 2)[rank::ranks] for batch in batches] for rank in range(ranks)]
    assert {len(share) for share in shares} == {len(batches)}
    for step, batch in enumerate(batches):
        together = [entry for share in shares for part in share[step] for entry in part]
        assert Counter(map(str, together)) == Counter(map(str, batch))


def test_the_order_of_an_epoch_stays_what_it_was() -> None:
    # A resumed stage must go on in the order that it began with, whatever the version of this package.
    batches = epoch_batches(**{**EPOCH, "fresh": range(4), "batch_size": 4})
    assert batches == [
        [Fresh(index=3), Replayed(index=7, text=7), Fresh(index=0), Replayed(index=4, text=2)],
        [Fresh(index=2), Replayed(index=7, text=7), Fresh(index=1), Replayed(index=5, text=6)],
    ]

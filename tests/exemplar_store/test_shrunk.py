"""Fewer tokens of a coded exemplar: those that stay are what they were, and the store takes them in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from exemplar_store import (
    Bfloat16,
    Codec,
    Communicator,
    EncodedExemplar,
    Exemplar,
    ExemplarStore,
    Jpeg,
    Shuffled,
    StoreError,
    StoreReader,
    Webp,
    shrunk,
    verify,
)
from exemplar_store.exemplar import decode

EncodeClass = Callable[..., list[EncodedExemplar]]
KEPT = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1], np.bool_)


@pytest.fixture(scope="session")
def patches(make_exemplar: Callable[..., Exemplar]) -> np.ndarray:
    """Ten neighbouring ones of a smooth and noisy picture."""
    return make_exemplar(5, kept=36).tokens["image"].values[10:20]


@pytest.mark.parametrize("quality", [30, 95])
def test_jpeg_patches_without_shared_colours_stay_exactly_what_they_were(patches: np.ndarray, quality: int) -> None:
    codec = Jpeg(quality=quality, subsampling="4:4:4")
    payload = codec.encode(patches)
    fewer = codec.take(payload, 10, KEPT)
    assert np.array_equal(codec.decode(fewer, 5), codec.decode(payload, 10)[KEPT])
    assert len(fewer) < 0.7 * len(payload)


def test_jpeg_patches_with_shared_colours_change_at_their_edges_alone() -> None:
    dice = np.random.default_rng(0)
    patches = dice.integers(0, 200, (10, 1, 1, 3)) + dice.integers(0, 50, (10, 16, 16, 3))
    codec = Jpeg(quality=90)
    payload = codec.encode(patches.astype(np.uint8))
    before, after = codec.decode(payload, 10)[KEPT], codec.decode(codec.take(payload, 10, KEPT), 5)
    assert np.array_equal(before[:, :, 1:-1], after[:, :, 1:-1])
    again = codec.decode(codec.encode(codec.decode(payload, 10)[KEPT]), 5)
    assert not np.array_equal(before[:, :, 1:-1], again[:, :, 1:-1])  # what coding them again would do


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:4:4"}, {"frames": 2}])
def test_a_scan_is_read_and_written_as_it_is(patches: np.ndarray, options: dict[str, object]) -> None:
    codec = Jpeg.model_validate({"quality": 90, **options})
    values = patches.reshape(-1, *codec.token_shape)
    payload, count = codec.encode(values), len(values)
    assert codec.take(payload, count, np.ones(count, np.bool_)) == payload
    half = np.arange(count) % 2 == 0
    step_by_step = codec.take(codec.take(payload, count, half), half.sum(), np.arange(half.sum()) > 0)
    assert step_by_step == codec.take(payload, count, half & (np.arange(count) > 0))
    assert codec.take(payload, count, np.zeros(count, np.bool_)) == b""


@pytest.mark.parametrize("codec", [Shuffled(dtype="<f4", token_shape=(6,)), Bfloat16(token_shape=(6,))])
def test_codecs_that_lose_nothing_the_second_time_take_tokens_too(codec: Codec) -> None:
    values = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)
    payload = codec.encode(values)
    assert np.array_equal(codec.decode(codec.take(payload, 10, KEPT), 5), codec.decode(payload, 10)[KEPT])


@pytest.mark.parametrize("codec", [Webp(quality=50), Jpeg(quality=90, patch=8)])
def test_a_codec_that_would_lose_refuses(patches: np.ndarray, codec: Codec) -> None:
    values = patches[:, :8, :8] if codec.token_shape == (8, 8, 3) else patches
    with pytest.raises(StoreError, match="cannot be dropped"):
        codec.take(codec.encode(np.ascontiguousarray(values)), 10, KEPT)


def test_damage_is_no_patch(patches: np.ndarray) -> None:
    codec = Jpeg(quality=90)
    with pytest.raises(StoreError, match="a code that is in no table"):
        codec.take(codec.encode(patches)[:50], 10, KEPT)


def test_an_exemplar_keeps_all_but_the_tokens(encode_class: EncodeClass) -> None:
    one = encode_class([0], 1)[0]
    before, after = decode(one, ""), decode(shrunk(one, {"image": KEPT}), "")
    assert np.array_equal(after.tokens["image"].positions, before.tokens["image"].positions[KEPT])
    assert after.tokens["text"] == before.tokens["text"]
    assert replace(after, tokens={}) == replace(before, tokens={})
    with pytest.raises(StoreError, match="has no modality 'sound'"):
        shrunk(one, {"sound": KEPT})
    with pytest.raises(ValueError, match="10 tokens, but a mask for"):
        shrunk(one, {"image": KEPT[:9]})


def smaller_ones(store: ExemplarStore) -> list[EncodedExemplar]:
    with closing(StoreReader(store.path)) as reader:
        return [shrunk(reader.encoded(index), {"image": KEPT}) for index in range(len(reader))]


def test_smaller_exemplars_make_room_and_keep_their_places(
    small_store: ExemplarStore, encode_class: EncodeClass
) -> None:
    with closing(StoreReader(small_store.path)) as reader:
        before = reader.read_many(range(len(reader)))
    new = encode_class([3, 4, 5], 3, stage=3)
    plain, admission = (small_store.plan(3, new, smaller=one) for one in ([], smaller_ones(small_store)))
    assert len(admission.chosen) > len(plain.chosen)
    small_store.commit(admission)
    assert small_store.used_bytes <= small_store.budget_bytes and verify(small_store.path, full=True).problems == []
    with closing(StoreReader(small_store.path)) as reader:
        old = [one for one in reader.read_many(range(len(reader))) if one.stage < 3]
    assert [(one.sample_id, one.rank) for one in old] == [(one.sample_id, one.rank) for one in before]
    for one, other in zip(old, before, strict=True):
        assert np.array_equal(one.tokens["image"].positions, other.tokens["image"].positions[KEPT])
        assert one.tokens["text"] == other.tokens["text"]


@pytest.mark.parametrize("classes", [4, 30])
def test_evicting_first_comes_to_the_same(small_store: ExemplarStore, encode_class: EncodeClass, classes: int) -> None:
    new = encode_class(list(range(3, 3 + classes)), 3, stage=3)
    smaller = smaller_ones(small_store)
    admission = small_store.plan(3, new, smaller=smaller)
    staying = {one.outline.order for one in admission.chosen}
    assert all(one.order in staying for one in smaller) == (classes == 4)  # of 30, some of those that shrink go
    small_store.commit(admission, evict_first=True)
    with closing(StoreReader(small_store.path)) as reader:
        held = {reader.encoded(index).order for index in range(len(reader))}
    assert held == staying


def test_what_is_no_part_of_what_is_held_is_refused(small_store: ExemplarStore, encode_class: EncodeClass) -> None:
    fewer = smaller_ones(small_store)[0]
    with closing(StoreReader(small_store.path)) as reader:
        whole = reader.encoded(0)
    for wrong in (whole, replace(fewer, score=9.0), replace(fewer, parts=fewer.parts[:1])):
        with pytest.raises(StoreError, match="is to shrink, but is no part of its old self"):
            small_store.plan(3, [], smaller=[wrong])
    for nobody in ([fewer, fewer], [shrunk(encode_class([9], 1)[0], {"image": KEPT})]):
        with pytest.raises(StoreError, match="is to shrink, but not held, or twice"):
            small_store.plan(3, [], smaller=nobody)
    small_store.commit(small_store.plan(3, [], smaller=[fewer]))
    with pytest.raises(StoreError, match="is to shrink, but is no part of its old self"):
        small_store.plan(4, [], smaller=[replace(whole, parts=whole.parts)])


def test_every_writer_may_bring_some(
    small_store: ExemplarStore,
    encode_class: EncodeClass,
    run_writers: Callable[[int, Callable[[Communicator], object]], list[int]],
) -> None:
    everything, new = smaller_ones(small_store), encode_class([3], 3, stage=3)

    def work(group: Communicator) -> None:
        store = ExemplarStore.open(small_store.path, communicator=group)
        store.commit(store.plan(3, new[group.rank :: 2], smaller=everything[group.rank :: 2]))

    assert run_writers(2, work) == [0, 0]
    with closing(StoreReader(small_store.path)) as reader:
        assert len(reader) == len(everything) + 3
        kept = [reader.encoded(index) for index in range(len(reader))]
    assert [one for one in kept if one.stage < 3] == sorted(everything, key=lambda one: one.order)

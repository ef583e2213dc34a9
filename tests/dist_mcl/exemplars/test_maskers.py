"""One table of all maskers: what each keeps of one picture, and what all of them promise."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dist_mcl import config
from dist_mcl.exemplars.maskers import PATCH_RULES, Picture, exact, keep_patches, keep_words
from dist_mcl.tokens import Sample, Tokens, TokenScores
from exemplar_store import Jpeg

from .masks import masking

# A 3 x 4 picture; mean 3, standard deviation 3.03, sum 36. The best three are 9, 8 and 7.
SCORES = np.array([[0, 1, 0, 0], [1, 9, 8, 1], [2, 7, 6, 1]], np.float32).ravel()
BEST = [5, 6, 9, 10]
TABLE: list[tuple[dict[str, Any], list[int]]] = [
    ({"kind": "mean"}, BEST),
    ({"kind": "mean_std", "k": 1.0}, [5, 6, 9]),
    ({"kind": "mean_std", "k": 0.0}, BEST),
    ({"kind": "mean_std", "k": -0.5}, [5, 6, 8, 9, 10]),
    ({"kind": "top_ratio", "image": 0.25}, [5, 6, 9]),
    ({"kind": "top_ratio", "image": 0.26}, BEST),
    ({"kind": "top_ratio", "image": 0.0}, [5]),
    ({"kind": "top_mass", "image": 0.25}, [5]),
    ({"kind": "top_mass", "image": 0.26}, [5, 6]),
    ({"kind": "top_mass", "image": 1.0}, [1, 4, 5, 6, 7, 8, 9, 10, 11]),
    ({"kind": "rate_to_bytes", "image_bytes": 10**6}, list(range(12))),
    ({"kind": "rate_to_bytes", "image_bytes": 0}, [5]),
    ({"kind": "random", "image": 1.0}, list(range(12))),
    ({"kind": "box", "mass": 0.8}, BEST),
    ({"kind": "box", "mass": 0.2}, [5]),
    ({"kind": "box", "mass": 1.0}, list(range(12))),
    ({"kind": "low_res"}, list(range(12))),
    ({"kind": "full"}, list(range(12))),
]
masker_of = TypeAdapter(config.Exemplars.model_fields["masker"].annotation).validate_python


def noise(tokens: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (tokens, 16, 16, 3), dtype=np.uint8)


def picture(scores: np.ndarray = SCORES, grid: tuple[int, int] = (3, 4)) -> Picture:
    return Picture(Tokens.full(noise(len(scores)), grid), exact(scores), Jpeg(), (0, 0))


@pytest.mark.parametrize(("fields", "kept"), TABLE, ids=str)
def test_what_each_masker_keeps(fields: dict[str, Any], kept: list[int]) -> None:
    assert np.flatnonzero(keep_patches(masker_of(fields), picture())).tolist() == kept


def test_every_masker_is_in_the_table() -> None:
    kinds = {masker_of(fields).kind for fields, _ in TABLE}
    assert kinds == {get_args(one.model_fields["kind"].annotation)[0] for one in get_args(config.Masker)}
    assert set(PATCH_RULES) == set(get_args(config.Masker))


@pytest.mark.parametrize("order", ["attention", "random"])
@pytest.mark.parametrize("image_bytes", [600, 1500, 4000])
def test_a_byte_target_is_hit_from_below(image_bytes: int, order: str) -> None:
    masker = config.RateMasker(image_bytes=image_bytes, order=order)
    seen = picture(np.random.default_rng(0).random(36).astype(np.float32), (6, 6))
    kept = keep_patches(masker, seen)
    size = len(seen.codec.encode(seen.image.values[kept]))
    one_more = kept.copy()
    left = [place for place in seen.rng.permutation(36) if not kept[place]]
    one_more[left[0] if order == "random" else max(left, key=lambda place: seen.scores[place])] = True
    assert size <= image_bytes < len(seen.codec.encode(seen.image.values[one_more]))
    if order == "attention":
        assert seen.scores[kept].min() >= seen.scores[~kept].max()


def test_a_random_share_is_a_share() -> None:
    kept = keep_patches(config.RandomMasker(image=0.5), picture())
    assert kept.sum() == 6 and not np.array_equal(np.flatnonzero(kept), np.arange(6))


def test_the_smallest_box_has_the_most_attention_of_its_size() -> None:
    scores = np.array([[5, 5, 0], [0, 0, 6], [0, 0, 5]], np.float32).ravel()
    kept = keep_patches(config.BoxMasker(mass=0.45), picture(scores, (3, 3)))
    assert np.flatnonzero(kept).tolist() == [5, 8]


TEXT = [np.array([4, 0, 0, 1, 1], np.float32), np.array([0, 0, 8, 0, 1], np.float64)]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"kind": "mean"}, [0, 2]),
        ({"kind": "random"}, [0, 2]),
        ({"kind": "mean_std", "k": -0.2}, [0, 2, 3, 4]),
        ({"kind": "top_ratio", "text": 0.2}, [2]),
        ({"kind": "top_ratio", "text": 0.6}, [0, 2, 3]),
        ({"kind": "top_mass", "text": 0.7}, [0, 2, 3]),
    ],
    ids=str,
)
def test_which_words_are_kept_for_either_reason(fields: dict[str, Any], kept: list[int]) -> None:
    assert np.flatnonzero(keep_words(masker_of(fields), TEXT)).tolist() == kept


def test_a_share_of_words_that_nobody_attends_to() -> None:
    nothing = np.zeros(4, np.float32)
    assert keep_words(masker_of({"kind": "top_ratio", "text": 0.5}), [nothing]).tolist() == [True, True, False, False]


def random_sample(seed: int) -> tuple[Sample, TokenScores]:
    rng = np.random.default_rng(seed)
    rows, columns, words = rng.integers(1, 7, 3)
    tokens = {
        "image": Tokens.full(noise(rows * columns, seed), (int(rows), int(columns))),
        "text": Tokens.full(rng.integers(0, 1000, words).astype(np.int32), (int(words),)),
    }
    return Sample(tokens, 0, seed, 1), random_scores(tokens, rng)


def random_scores(tokens: dict[str, Tokens], rng: np.random.Generator) -> TokenScores:
    counts = {name: len(tokens[name]) for name in ("image", "text")}
    class_scores = {name: rng.random(count).astype(np.float32) ** 3 for name, count in counts.items()}
    return TokenScores(class_scores, rng.random((counts["image"], counts["text"])).astype(np.float32))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(TABLE), st.booleans())
def test_masked_again_an_exemplar_only_ever_loses_tokens(
    seed: int, row: tuple[dict[str, Any], list[int]], whole_words: bool
) -> None:
    sample, scores = random_sample(seed)
    rule = masking(masker=row[0], whole_words=whole_words, continues=list(range(0, 1000, 3)))
    kept = rule.decide(sample, scores)
    assert all(mask.any() for mask in kept.values())
    once = {name: sample.tokens[name].take(mask) for name, mask in kept.items()}
    exemplar = Sample(once, 0, seed, 1)
    again = rule.decide(exemplar, random_scores(once, np.random.default_rng(seed + 1)))
    twice = {name: once[name].take(mask) for name, mask in again.items()}
    for name, tokens in twice.items():
        assert 0 < len(tokens) <= len(once[name]) <= len(sample.tokens[name])
        assert set(tokens.positions) <= set(once[name].positions)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(TABLE))
def test_a_mask_depends_on_the_sample_alone(seed: int, row: tuple[dict[str, Any], list[int]]) -> None:
    sample, scores = random_sample(seed)
    one, other = (masking(masker=row[0]).decide(sample, scores) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)

"""The published rule by hand and by its properties, and whole samples masked; test_maskers.py has the other rules."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dist_mcl.config import MeanMasker, RandomMasker
from dist_mcl.exemplars import Masking
from dist_mcl.exemplars.maskers import Picture, exact, keep_patches, keep_words
from dist_mcl.tokens import Sample, Tokens, TokenScores
from exemplar_store import Exemplar, Jpeg, encode
from exemplar_store.exemplar import decode

from .masks import masking

attention = arrays(np.float32, st.integers(1, 40), elements=st.floats(0.0009765625, 1, width=32))


def picture(scores: np.ndarray, seed: int = 0, sample_id: int = 0) -> Picture:
    return Picture(Tokens.full(np.zeros((len(scores), 1), np.uint8), scores.shape), scores, Jpeg(), (seed, sample_id))


def mean_mask(scores: list[float] | np.ndarray) -> np.ndarray:
    return keep_patches(MeanMasker(), picture(exact(np.asarray(scores, np.float32))))


def random_mask(scores: np.ndarray, seed: int, sample_id: int) -> np.ndarray:
    return keep_patches(RandomMasker(), picture(exact(scores), seed, sample_id))


def text_mask(class_scores: np.ndarray, cross: np.ndarray, image_kept: np.ndarray) -> np.ndarray:
    dropped = cross[~image_kept]
    reasons = [dropped.mean(axis=0, dtype=np.float64)] if len(dropped) else []
    return keep_words(MeanMasker(), [class_scores, *reasons])


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([1, 2, 3, 6], [0, 0, 0, 1]),  # the mean is 3, and 3 is not above it
        ([0.5, 0, 0, 0.5], [1, 0, 0, 1]),
        ([0, 0, 5, 4, 0, 0], [0, 0, 1, 1, 0, 0]),  # nothing in the first column: holes are fine
        ([0.1] * 7, [1, 0, 0, 0, 0, 0, 0]),  # none above the mean: the best, the first of equals
        ([3], [1]),
        ([], []),
    ],
)
def test_image_mask_by_hand(scores: list[float], kept: list[int]) -> None:
    assert mean_mask(scores).tolist() == [bool(keep) for keep in kept]


@given(attention, st.integers(-10, 10))
def test_image_mask_keeps_what_is_above_the_mean_at_any_scale(scores: np.ndarray, exponent: int) -> None:
    kept = mean_mask(scores)
    assert kept.any()
    above = scores.astype(np.float64) > scores.astype(np.float64).mean()
    assert np.array_equal(kept, above) if above.any() else kept.sum() == 1
    assert np.array_equal(mean_mask(scores * np.float32(2.0**exponent)), kept)


@given(attention, st.floats(0.01, 100))
def test_image_mask_does_not_change_with_a_positive_factor(scores: np.ndarray, factor: float) -> None:
    exact = scores.astype(np.float64)
    assume(np.abs(exact / exact.mean() - 1).min() > 1e-5)  # not at the threshold, where rounding decides
    assert np.array_equal(mean_mask(scores * np.float32(factor)), mean_mask(scores))


@given(attention, st.integers(0, 2**32 - 1))
def test_permuting_the_patches_permutes_the_mask(scores: np.ndarray, seed: int) -> None:
    assume((scores.astype(np.float64) > scores.astype(np.float64).mean()).any())
    order = np.random.default_rng(seed).permutation(len(scores))
    exact = scores.astype(np.float64)
    assume(np.abs(exact / exact.mean() - 1).min() > 1e-9)
    assert np.array_equal(mean_mask(scores[order]), mean_mask(scores)[order])


@given(attention, st.integers(0, 100), st.integers(0, 10**9))
def test_random_keeps_as_many_and_is_seeded_by_the_sample(scores: np.ndarray, seed: int, sample_id: int) -> None:
    kept = random_mask(scores, seed, sample_id)
    assert kept.sum() == mean_mask(scores).sum()
    assert np.array_equal(kept, random_mask(scores, seed, sample_id))


def test_random_differs_between_samples_and_seeds_and_is_even() -> None:
    scores = np.array([9] * 9 + [0] * 27, np.float32)
    masks = np.stack([random_mask(scores, 0, sample_id) for sample_id in range(2000)])
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], random_mask(scores, 1, 0))
    assert np.abs(masks.mean(axis=0) - 0.25).max() < 0.05  # five standard deviations


def test_text_mask_by_hand() -> None:
    class_scores = np.array([0.7, 0.1, 0.1, 0.1], np.float32)
    cross = np.array([[0.0, 9.0, 0.0, 0.0], [0.1, 0.1, 0.5, 0.1], [0.1, 0.1, 0.3, 0.1]], np.float32)
    # Patch 0 is kept, so its 9 for token 1 counts nothing; patches 1 and 2 are dropped and speak of token 2.
    kept = text_mask(class_scores, cross, np.array([True, False, False]))
    assert kept.tolist() == [True, False, True, False]
    # Nothing is dropped: class relevance alone.
    assert text_mask(class_scores, cross, np.ones(3, bool)).tolist() == [True, False, False, False]
    assert text_mask(class_scores, np.zeros((0, 4), np.float32), np.zeros(0, bool)).tolist() == [True] + [False] * 3


def test_text_mask_is_never_empty() -> None:
    flat, cross = np.full(3, 0.2, np.float32), np.full((2, 3), 0.1, np.float32)
    assert text_mask(flat, cross, np.array([True, False])).tolist() == [True, False, False]
    assert text_mask(flat[:0], cross[:, :0], np.array([True, False])).tolist() == []


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_text_mask_is_the_union_of_two_sets_above_their_means(patches: int, words: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_scores, cross = rng.random(words, np.float32), rng.random((patches, words), np.float32)
    image_kept = rng.random(patches) < 0.3
    kept = text_mask(class_scores, cross, image_kept)
    expected = {j for j in range(words) if class_scores[j] > class_scores.mean(dtype=np.float64)}
    relevance = [np.mean([cross[i, j] for i in range(patches) if not image_kept[i]] or [0.0]) for j in range(words)]
    expected |= {j for j in range(words) if relevance[j] > np.mean(relevance) + 1e-9}
    assert set(np.flatnonzero(kept)) == (expected or {int(np.argmax(class_scores))})
    order = rng.permutation(patches)
    assert np.array_equal(text_mask(class_scores, cross[order], image_kept[order]), kept)


def sample(**tokens: Tokens) -> Sample:
    return Sample(tokens, target=3, id=11, stage=2)


def masked(sample: Sample, scores: TokenScores, **config: object) -> Sample:
    rule = masking(continues=[102], **config)
    return rule.apply(sample, rule.decide(sample, scores))


IMAGE = Tokens.full(np.arange(4 * 12, dtype=np.uint8).reshape(4, 2, 2, 3), (2, 2))
TEXT = Tokens.full(np.array([101, 102, 103], np.int32), (3,))
SCORES = TokenScores(
    {"image": np.array([0, 0, 0, 1], np.float32), "text": np.array([0, 1, 0], np.float32)},
    np.array([[1, 0, 0]] * 4, np.float32),
)


def test_an_exemplar_is_the_same_type_with_fewer_tokens() -> None:
    found = masked(sample(image=IMAGE, text=TEXT), SCORES)
    assert found.tokens["image"] == IMAGE.take(np.array([3]))
    assert found.tokens["text"].values.tolist() == [101, 102]
    assert found.tokens["text"].positions.tolist() == [0, 1] and found.tokens["text"].grid == (3,)
    assert (found.target, found.id, found.stage) == (3, 11, 2)


@pytest.mark.parametrize(
    ("config", "patches", "words"),
    [
        ({"masker": "full", "text_mask": "full"}, [0, 1, 2, 3], [0, 1, 2]),
        ({"masker": "full"}, [0, 1, 2, 3], [1]),  # nothing is dropped that a word could speak of
        ({"text_mask": "class"}, [3], [1]),
        ({"text_mask": "full"}, [3], [0, 1, 2]),
        ({"whole_words": True, "text_mask": "class"}, [3], [0, 1]),  # 102 continues the word that 101 begins
    ],
)
def test_options_of_the_text_mask(config: dict[str, object], patches: list[int], words: list[int]) -> None:
    found = masked(sample(image=IMAGE, text=TEXT), SCORES, **config)
    assert found.tokens["image"].positions.tolist() == patches
    assert found.tokens["text"].positions.tolist() == words


def test_a_sample_may_lack_a_modality_or_have_another() -> None:
    audio = Tokens.full(np.zeros((5, 2), np.float16), (5,))
    text_only = TokenScores({"text": SCORES.class_scores["text"]}, np.zeros((0, 3), np.float32))
    found = masked(sample(text=TEXT, audio=audio), text_only)
    assert found.tokens["text"].values.tolist() == [102] and found.tokens["audio"] == audio
    image_only = TokenScores({"image": SCORES.class_scores["image"]}, np.zeros((4, 0), np.float32))
    found = masked(sample(image=IMAGE), image_only)
    assert found.tokens.keys() == {"image"} and len(found.tokens["image"]) == 1
    empty = Tokens.full(np.zeros(0, np.int32), (0,))  # a text without a word
    found = masked(sample(image=IMAGE, text=empty), image_only)
    assert found.tokens["text"] == empty and len(found.tokens["image"]) == 1


def test_scores_of_another_sample_are_refused() -> None:
    with pytest.raises(ValueError, match="sample 11"):
        masked(sample(image=IMAGE, text=TEXT.take(np.array([0]))), SCORES)
    broken = TokenScores({**SCORES.class_scores, "text": np.array([0, np.nan, 0], np.float32)}, SCORES.cross)
    with pytest.raises(ValueError, match="not finite"):
        masked(sample(image=IMAGE, text=TEXT), broken)


def test_coded_is_what_the_store_gives_back() -> None:
    rng = np.random.default_rng(0)
    image = Tokens.full(rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), (2, 2)).take(np.array([1, 3]))
    rule = masking(fresh_coding=True)
    coarse = Masking(rule.config, rule.seed, {**rule.codecs, "image": Jpeg(quality=10)}, rule.continues)
    found = coarse.coded(sample(image=image, text=TEXT))
    exemplar = Exemplar(sample_id=11, label=3, stage=2, rank=0, score=0.0, tokens={"image": image}, source_hw=(32, 32))
    stored = decode(encode(exemplar, coarse.codecs), where="memory")
    assert found.tokens["image"] == stored.tokens["image"] != image
    assert found.tokens["text"] == TEXT
    assert coarse.changes_pixels and not rule.is_two_sized

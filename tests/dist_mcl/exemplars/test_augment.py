from collections import Counter

import numpy as np
import pytest

from dist_mcl.exemplars import swap_text
from dist_mcl.exemplars.augment import draw_text_donor
from dist_mcl.tokens import Sample, Tokens

IMAGE = Tokens.full(np.zeros((4, 2, 2, 3), np.uint8), (2, 2))
TEXT = Tokens.full(np.arange(6, dtype=np.int32), (6,))


def exemplar(number: int, target: int = 1, **tokens: Tokens) -> Sample:
    return Sample(tokens, target=target, id=number, stage=1)


def test_each_side_keeps_its_own_mask_and_positions() -> None:
    a = exemplar(1, image=IMAGE.take(np.array([0, 3])), text=TEXT.take(np.array([2])))
    b = exemplar(2, image=IMAGE.take(np.array([1])), text=TEXT.take(np.array([1, 4])))
    swapped = swap_text(a, b)
    assert swapped.tokens == {"image": a.tokens["image"], "text": b.tokens["text"]}
    assert (swapped.id, swapped.target, swapped.stage) == (1, 1, 1)
    assert a.tokens["text"].positions.tolist() == [2]  # the exemplar itself is untouched
    assert swap_text(a, a) == a


def test_nothing_is_swapped_where_a_text_is_missing() -> None:
    with_text, without = exemplar(1, text=TEXT), exemplar(2, image=IMAGE)
    assert swap_text(with_text, without) is with_text and swap_text(without, with_text) is without


def test_texts_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="different classes"):
        swap_text(exemplar(1, target=1, text=TEXT), exemplar(2, target=2, text=TEXT))


def test_donors_are_even_and_as_frequent_as_asked() -> None:
    rng, members = np.random.default_rng(0), np.array([3, 5, 8, 9])
    donors = Counter(draw_text_donor(5, members, 0.3, rng) for _ in range(6000))
    assert donors.keys() == set(members.tolist())
    assert abs(donors[5] - 4200) < 180  # five standard deviations
    assert all(abs(donors[other] - 600) < 120 for other in (3, 8, 9))


def test_the_bounds_of_the_probability() -> None:
    rng, members = np.random.default_rng(0), np.array([3, 5])
    assert {draw_text_donor(5, members, 0.0, rng) for _ in range(50)} == {5}
    assert {draw_text_donor(5, members, 1.0, rng) for _ in range(50)} == {3}
    assert draw_text_donor(5, np.array([5]), 1.0, rng) == 5

"""How sure a difference of two methods is, with the questions that were asked."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import Any

import pytest

from studies.pathweave.all_tests import gain, questions, scores

OURS = [1, 1, 0, 1, 1, 0, 1, 1]
THEIRS = [1, 0, 0, 1, 0, 1, 0, 1]


def result(**right: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """By modality, of each question what it is about and whether it was answered rightly."""
    found: dict[str, dict[str, list[int]]] = {}
    for modality, answers in right.items():
        tallies = found.setdefault(modality, {})
        for thing, is_right in answers:
            before, asked = tallies.get(thing, [0, 0])
            tallies[thing] = [before + is_right, asked + 1]
    return {"on_all_tests": found}


def about(rights: Sequence[int], copies: int = 1) -> list[tuple[str, int]]:
    return [(str(number), is_right) for number, is_right in enumerate(rights) for _ in range(copies)]


def test_one_question_a_thing_gives_the_standard_error_of_the_mean() -> None:
    found = gain([result(image=about(OURS))], [result(image=about(THEIRS))], ["image"])
    differences = [our - their for our, their in zip(OURS, THEIRS, strict=True)]
    assert found.by_seed.values == (100 * sum(differences) / 8,)
    assert found.of_questions == pytest.approx(100 * stdev(differences) / 8**0.5)


def test_more_questions_about_the_same_things_make_nothing_surer() -> None:
    once = gain([result(image=about(OURS))], [result(image=about(THEIRS))], ["image"])
    often = gain([result(image=about(OURS, 5))], [result(image=about(THEIRS, 5))], ["image"])
    again = gain(
        [result(image=about(OURS), depth=about(OURS))],
        [result(image=about(THEIRS), depth=about(THEIRS))],
        ["image", "depth"],
    )
    assert once.of_questions == pytest.approx(often.of_questions) == pytest.approx(again.of_questions)


def test_a_modality_without_a_difference_halves_both() -> None:
    ours = result(image=about(OURS), video=[("clip 1", 1), ("clip 2", 0)])
    theirs = result(image=about(THEIRS), video=[("clip 1", 1), ("clip 2", 0)])
    one, both = gain([ours], [theirs], ["image"]), gain([ours], [theirs], ["image", "video"])
    assert both.by_seed.mean == one.by_seed.mean / 2
    assert both.of_questions == pytest.approx(one.of_questions / 2, rel=0.06)  # ten things and not eight


def test_the_error_is_that_of_the_mean_over_seeds() -> None:
    ours, theirs = ([result(image=about(row)), result(image=about([1 - it for it in row]))] for row in (OURS, THEIRS))
    found = gain(ours, theirs, ["image"])
    assert found.by_seed.values == (25.0, -25.0)
    assert found.of_questions == pytest.approx(0.0)
    assert found.error == pytest.approx(25.0) and not found.is_sure  # of the seeds: 25 sqrt(2) / sqrt(2)


def test_methods_that_answer_the_same_do_not_differ() -> None:
    same = [result(image=about(OURS)), result(image=about(THEIRS))]
    found = gain(same, same, ["image"])
    assert (found.by_seed.mean, found.error, found.is_sure) == (0.0, 0.0, False)


def test_scores_are_means_over_modalities() -> None:
    one = result(image=about([1, 1, 0, 0]), audio=[("note", 1)])
    assert scores([one], ["image", "audio"]).values == (75.0,)
    assert questions(one) == 5

import math
from typing import Any

import pytest

from studies.exemplar_masking.claims import claims
from studies.exemplar_masking.grid import Cell
from studies.exemplar_masking.summary import Group, better_jpeg, groups, saving
from studies.spread import Spread, pooled_deviation


def group(method: str, budget: int, *averages: float, data: str = "photo") -> Group:
    return Group(data, 5, method, budget, tuple({"average": average} for average in averages))


def test_deviation_is_that_of_a_sample_and_differences_go_seed_by_seed() -> None:
    ours, theirs = Spread((3.0, 5.0, 7.0)), Spread((1.0, 4.0, 4.0))
    assert (ours.mean, ours.deviation) == (5, 2)
    assert ours.minus(theirs).values == (2, 1, 3)
    assert pooled_deviation(ours, theirs) == pytest.approx(math.sqrt((4 + 3) / 2))


def test_bytes_for_an_equal_accuracy_are_read_off_the_curve() -> None:
    ours = [group("compact", 10, 0.5), group("compact", 40, 0.7)]
    # 0.6 lies half way between 10 and 40 KiB on the logarithmic axis: at 20.
    assert saving(ours, [group("jpeg_q75", 100, 0.6)]) == (100, pytest.approx(5), False)
    assert saving(ours, [group("jpeg_q75", 100, 0.4)]) == (100, pytest.approx(10), True)
    assert saving(ours, [group("jpeg_q75", 100, 0.8)]) is None


def test_a_curve_that_dips_does_not_promise_more_than_it_has_reached() -> None:
    ours = [group("compact", 10, 0.5), group("compact", 20, 0.7), group("compact", 40, 0.6)]
    assert saving(ours, [group("jpeg_q75", 100, 0.7)]) == (100, pytest.approx(5), False)


def test_only_whole_sets_of_seeds_are_compared() -> None:
    def cell(method: str, seed: int) -> Cell:
        return Cell("photo", 5, method, 96, seed, 30)

    results: dict[Cell, dict[str, Any]] = {cell("compact", seed): {"average": seed / 10} for seed in (3, 2, 0, 1)}
    results |= {cell("random", seed): {"average": 0.1} for seed in (0, 1, 3)}
    (found,) = groups(results)
    assert (found.method, found.average.values) == ("compact", pytest.approx((0, 10, 20, 30)))


def test_the_better_quality_is_the_one_to_beat() -> None:
    these = [group("jpeg_q75", 96, 0.6), group("jpeg_q90", 96, 0.7), group("compact", 96, 0.9)]
    best = better_jpeg(these)
    assert best is not None
    assert best.method == "jpeg_q90"


def test_claims_say_so_when_the_method_loses() -> None:
    lost = claims([group("jpeg_q75", 96, 0.7, 0.71), group("compact", 96, 0.6, 0.62), group("random", 96, 0.6, 0.62)])
    assert "`compact` does worse than whole pictures as `jpeg_q75`" in lost[0]
    assert "9.5 ± 0.7 points" in lost[0]
    assert "no more than the pooled standard deviation" in lost[1]

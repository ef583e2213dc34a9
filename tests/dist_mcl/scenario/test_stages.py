import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dist_mcl.data_config import Scenario
from dist_mcl.errors import UserError
from dist_mcl.scenario.stages import class_incremental, stages


def test_the_first_stages_take_the_remainder() -> None:
    groups = class_incremental(range(37), Scenario(stages=5), seed=0)
    assert [len(group) for group in groups] == [8, 8, 7, 7, 7]


@given(classes=st.sets(st.integers(0, 200), min_size=1), seed=st.integers(0, 2**31 - 1), data=st.data())
def test_every_class_arrives_once_and_evenly(classes: set[int], seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(classes)))
    groups = class_incremental(sorted(classes), Scenario(stages=count), seed)
    sizes = [len(group) for group in groups]
    assert sorted(class_id for group in groups for class_id in group) == sorted(classes)
    assert sizes == sorted(sizes, reverse=True) and max(sizes) - min(sizes) <= 1


def test_the_order_depends_on_the_seed_and_not_on_how_classes_are_listed() -> None:
    listed = class_incremental(range(37), Scenario(), seed=3)
    assert listed == class_incremental([*reversed(range(37)), 4, 4], Scenario(), seed=3)
    assert listed != class_incremental(range(37), Scenario(), seed=4)
    assert listed != [tuple(sorted(group)) for group in listed]


def test_too_many_stages_are_refused_with_the_mend() -> None:
    with pytest.raises(UserError, match=r"scenario\.stages: 38 .*37 classes; choose a number from 1 to 37"):
        class_incremental(range(37), Scenario(stages=38), seed=0)


@pytest.mark.parametrize(
    ("classes", "scenario", "sizes"),
    [
        (101, {"base": 11, "increment": 10}, [11, *[10] * 9]),  # UPMC Food-101
        (101, {"base": 6, "increment": 5}, [6, *[5] * 19]),
        (200, {"increment": 20}, [20] * 10),  # ImageNet-R, B0 Inc20
        (200, {"base": 100, "increment": 20}, [100, *[20] * 5]),
        (101, {"increment": 10}, [*[10] * 10, 1]),
        (7, {"base": 7, "increment": 3}, [7]),
    ],
)
def test_a_base_and_increments_as_published(classes: int, scenario: dict[str, int], sizes: list[int]) -> None:
    groups = class_incremental(range(classes), Scenario(**scenario), seed=0)
    assert [len(group) for group in groups] == sizes
    assert sorted(class_id for group in groups for class_id in group) == list(range(classes))


def test_a_base_larger_than_the_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"scenario\.base: 8 classes in the first stage are more than the 7 there are"):
        class_incremental(range(7), Scenario(base=8, increment=3), seed=0)


def test_the_published_class_order_is_that_of_the_legacy_generator_whatever_the_run_seed() -> None:
    scenario = Scenario(increment=10, class_seed=1993)
    order = [class_id for group in class_incremental(range(100), scenario, seed=5) for class_id in group]
    # The first classes of CIFAR-100 in the B0 Inc10 protocol of PILOT, DER, FOSTER and others.
    assert order[:10] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76]
    again = class_incremental(range(100), scenario, seed=6)
    assert order == [class_id for group in again for class_id in group]


def test_a_stage_finds_its_samples_in_both_splits() -> None:
    first, second = stages([(2, 0), (1,)], np.array([0, 1, 2, 2, 1]), np.array([1, 0, 1]))
    assert (first.number, first.classes) == (1, (2, 0))
    assert first.train.tolist() == [0, 2, 3] and first.test.tolist() == [1]
    assert second.number == 2 and second.train.tolist() == [1, 4] and second.test.tolist() == [0, 2]

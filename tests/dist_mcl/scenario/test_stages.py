import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dist_mcl.errors import UserError
from dist_mcl.scenario.stages import class_incremental, stages


def test_the_first_stages_take_the_remainder() -> None:
    groups = class_incremental(range(37), num_stages=5, seed=0)
    assert [len(group) for group in groups] == [8, 8, 7, 7, 7]


@given(classes=st.sets(st.integers(0, 200), min_size=1), seed=st.integers(0, 2**31 - 1), data=st.data())
def test_every_class_arrives_once_and_evenly(classes: set[int], seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(classes)))
    groups = class_incremental(sorted(classes), count, seed)
    sizes = [len(group) for group in groups]
    assert sorted(class_id for group in groups for class_id in group) == sorted(classes)
    assert sizes == sorted(sizes, reverse=True) and max(sizes) - min(sizes) <= 1


def test_the_order_depends_on_the_seed_and_not_on_how_classes_are_listed() -> None:
    listed = class_incremental(range(37), 5, seed=3)
    assert listed == class_incremental([*reversed(range(37)), 4, 4], 5, seed=3)
    assert listed != class_incremental(range(37), 5, seed=4)
    assert listed != [tuple(sorted(group)) for group in listed]


@pytest.mark.parametrize("count", [0, -1, 38])
def test_a_wrong_number_of_stages_is_refused_with_the_mend(count: int) -> None:
    with pytest.raises(UserError, match=rf"scenario\.stages: {count} .*37 classes; choose a number from 1 to 37"):
        class_incremental(range(37), count, seed=0)


def test_a_stage_finds_its_samples_in_both_splits() -> None:
    first, second = stages([(2, 0), (1,)], np.array([0, 1, 2, 2, 1]), np.array([1, 0, 1]))
    assert (first.number, first.classes) == (1, (2, 0))
    assert first.train.tolist() == [0, 2, 3] and first.test.tolist() == [1]
    assert second.number == 2 and second.train.tolist() == [1, 4] and second.test.tolist() == [0, 2]

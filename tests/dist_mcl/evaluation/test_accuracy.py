import numpy as np
import pytest

from dist_mcl.evaluation import confusion_counts, matrix_row, per_class_accuracy

TARGETS = np.array([0, 0, 0, 1, 1, 2, 3, 3])
PREDICTED = np.array([0, 0, 2, 1, 3, 2, 0, 3])


def test_counts_and_the_row_of_the_matrix() -> None:
    confusion = confusion_counts(TARGETS, PREDICTED, 4)
    assert confusion.tolist() == [[2, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 1]]
    accuracy, items = matrix_row(confusion, [[2, 0], [3, 1]])
    assert accuracy.tolist() == [3 / 4, 2 / 4] and items.tolist() == [4, 4]


@pytest.mark.parametrize("ranks", [1, 2, 3, 11])
def test_shards_add_up_whatever_their_number(ranks: int) -> None:
    shards = [confusion_counts(TARGETS[r::ranks], PREDICTED[r::ranks], 4) for r in range(ranks)]
    assert np.array_equal(np.sum(shards, axis=0), confusion_counts(TARGETS, PREDICTED, 4))


def test_a_class_without_test_items_has_no_accuracy() -> None:
    accuracy = per_class_accuracy(confusion_counts(TARGETS, PREDICTED, 5))
    assert accuracy[:4].tolist() == [2 / 3, 1 / 2, 1, 1 / 2] and np.isnan(accuracy[4])


def test_a_stage_without_test_items_is_refused() -> None:
    with pytest.raises(ValueError, match="stage 2 has no test item"):
        matrix_row(confusion_counts(TARGETS, PREDICTED, 5), [[0], [4]])


@pytest.mark.parametrize(("targets", "predictions"), [([0, 4], [0, 1]), ([0, 1], [-1, 1]), ([0], [0, 1])])
def test_ids_outside_the_classes_are_refused(targets: list[int], predictions: list[int]) -> None:
    with pytest.raises(ValueError):
        confusion_counts(targets, predictions, 4)

import numpy as np
import pytest

from dist_mcl.config import Training
from dist_mcl.exemplars import Fresh
from dist_mcl.modalities.image import SquarePatches
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.dataset import Dataset, RawSample
from dist_mcl.training.classifier import class_rows
from dist_mcl.training.learner import Pool
from dist_mcl.training.samples import StageSamples, ids_of, targets_of
from dist_mcl.training.train import _log_prior


class Counting(Dataset):
    """Ten pictures of 96 x 96 pixels, and how often each was read."""

    def __init__(self) -> None:
        super().__init__(["image"])
        self.classes = ("one",)
        self.labels, self.ids = np.zeros(10, np.int64), np.arange(10)
        self.reads = [0] * 10

    def raw(self, index: int) -> RawSample:
        self.reads[index] += 1
        return RawSample(np.full((96, 96, 3), index, np.uint8), "", int(self.labels[index]), index, name=str(index))

    def text(self, index: int) -> str:
        return ""

    def source(self, index: int) -> str:
        return str(index)

    def check_picture(self, index: int) -> None:
        pass


@pytest.mark.parametrize(("pictures_kept", "reads"), [(10, [1] * 10), (3, [1] * 3 + [2] * 7), (0, [2] * 10)])
def test_no_more_than_some_bytes_stay_in_memory(pictures_kept: int, reads: list[int]) -> None:
    dataset = Counting()
    tokenizers = Tokenizers(SquarePatches(96), text=None)  # type: ignore[arg-type]
    kept_bytes = pictures_kept * 96 * 96 * 3
    samples = StageSamples(dataset, np.arange(10), tokenizers, stage=3, kept_bytes=kept_bytes)
    for _ in range(2):
        assert [sample.tokens["image"].values.max() for sample in samples[:]] == list(range(10))
    assert dataset.reads == reads
    assert samples[4].stage == 3


def test_classes_and_ids_are_known_without_reading() -> None:
    dataset = Counting()
    dataset.labels = np.arange(10) // 4
    samples = StageSamples(dataset, np.array([1, 4, 9]), Tokenizers(SquarePatches(96), text=None), stage=1)  # type: ignore[arg-type]
    assert targets_of(samples).tolist() == [0, 1, 2] and ids_of(samples).tolist() == [1, 4, 9]
    pool = Pool(samples, [], [])
    assert [pool.target(Fresh(index, masked)) for index in range(3) for masked in (False, True)] == [0, 0, 1, 1, 2, 2]
    assert _log_prior([[Fresh(0), Fresh(2)]], pool, class_rows([0, 1, 2]), Training()).tolist() == [0, 0, 0]
    assert dataset.reads == [0] * 10
    assert [targets_of(samples[:]).tolist(), ids_of(samples[:]).tolist()] == [[0, 1, 2], [1, 4, 9]]

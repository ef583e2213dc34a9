import numpy as np
import pytest

from dist_mcl.modalities.image import SquarePatches
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.dataset import Dataset, RawSample
from dist_mcl.training.samples import StageSamples


class Counting(Dataset):
    """Ten pictures of 96 x 96 pixels, and how often each was read."""

    def __init__(self) -> None:
        super().__init__(["image"])
        self.classes = ("one",)
        self.labels, self.ids = np.zeros(10, np.int64), np.arange(10)
        self.reads = [0] * 10

    def raw(self, index: int) -> RawSample:
        self.reads[index] += 1
        return RawSample(np.full((96, 96, 3), index, np.uint8), "", 0, index, name=str(index))

    def check(self) -> None:
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

"""A stage's samples by index, read and composed when they are used; classes and ids are known without that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from dist_mcl.data_config import Absent
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.absent import without_absent
from dist_mcl.scenario.dataset import Dataset
from dist_mcl.tokens import QuestionAnswer, Sample

# Of token values that a stage keeps, on each process: all of a small set, and so much of a large one.
KEPT_BYTES = 2**29
NOTHING = Absent()


class LazySamples(Sequence[Sample], ABC):
    """Samples that are made when they are asked for."""

    @abstractmethod
    def sample(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, key: int) -> Sample: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sample]: ...
    def __getitem__(self, key: int | slice) -> Sample | list[Sample]:
        if isinstance(key, slice):
            return [self.sample(index) for index in range(*key.indices(len(self)))]
        return self.sample(key)


class StageSamples(LazySamples):
    """Some samples of a data set; the first ones that are used stay in memory, the rest is read again each time.

    Args:
        dataset: one split of it.
        indices: which of its samples.
        tokenizers: of the backbone.
        stage: the stage that brings them.
        absent: what some of them lack.
        seed: decides which.
        kept_bytes: how much of them may stay.

    Attributes:
        targets, ids: int64 (n,), known without reading a sample.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: NDArray[np.int64],
        tokenizers: Tokenizers,
        stage: int,
        absent: Absent = NOTHING,
        seed: int = 0,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._dataset, self._tokenizers, self._stage = dataset, tokenizers, stage
        self._absent, self._seed = absent, seed
        self.targets, self.ids = dataset.labels[indices], dataset.ids[indices]
        self._indices: list[int] = indices.tolist()
        self._kept: dict[int, Sample] = {}
        self._room = kept_bytes

    def __len__(self) -> int:
        return len(self._indices)

    def sample(self, index: int) -> Sample:
        """A sample. Raises UserError where its picture cannot be read."""
        index = self._indices[index]
        if index in self._kept:
            return self._kept[index]
        whole = self._dataset.sample(index, self._tokenizers, self._stage)
        sample = without_absent(whole, self._absent, self._seed)
        size = sum(tokens.values.nbytes for tokens in sample.tokens.values())
        if size <= self._room:
            self._room -= size
            self._kept[index] = sample
        return sample


def targets_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Class ids, int64 (n,), or the stages of questions; no sample is read from disk for its class."""
    if isinstance(samples, StageSamples | ExemplarDataset):
        return samples.targets
    return np.array([_group(sample) for sample in samples], dtype=np.int64)


def _group(sample: Sample) -> int:
    return sample.stage if isinstance(sample.target, QuestionAnswer) else sample.target


def ids_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Sample ids, int64 (n,), likewise."""
    known = getattr(samples, "ids", None)
    return np.array([sample.id for sample in samples], np.int64) if known is None else known

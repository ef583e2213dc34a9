"""A stage's samples by index, composed when first used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.reader import Scenes
from dist_mcl.tokens import Sample


class SceneSamples(Sequence[Sample]):
    """Some samples of a dataset; each is composed and tokenised once and then kept.

    Args:
        scenes: the dataset.
        indices: which of its samples.
        tokenizers: of the backbone.
        stage: the stage that brings them.
    """

    def __init__(self, scenes: Scenes, indices: NDArray[np.int64], tokenizers: Tokenizers, stage: int) -> None:
        self._scenes, self._tokenizers, self._stage = scenes, tokenizers, stage
        self._indices: list[int] = indices.tolist()
        self._made: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, key: int) -> Sample: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sample]: ...
    def __getitem__(self, key: int | slice) -> Sample | list[Sample]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        index = self._indices[key]
        if index not in self._made:
            self._made[index] = self._scenes.sample(index, self._tokenizers, self._stage)
        return self._made[index]

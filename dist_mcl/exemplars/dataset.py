"""The memory as a torch data set: exemplars are read and decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dist_mcl.exemplars.codecs import LOGITS
from dist_mcl.exemplars.resolution import replay_form
from dist_mcl.tokens import QuestionAnswer, Sample
from exemplar_store import Exemplar, StoreReader


class ExemplarDataset(Dataset[Sample], Sequence[Sample]):
    """The exemplars of one generation of a store as samples, in rank-major order and as replay sees them.

    Item i is the same sample in every process. Which items make a batch is the sampler's to decide, in the main
    process, so a `DataLoader` gives the same batches with any number of workers, forked or spawned:

        DataLoader(dataset, 64, shuffle=True, generator=seeded, collate_fn=Batch.collate, num_workers=4)

    Commits that follow do not change what it returns, but a worker that is spawned later needs the generation to be
    there still.

    Args:
        path: folder of the store.
        generation: number of the generation; the head if None.
        threads: how many threads decode a batch. More than 1 pays where there are no workers.
        dropped: whether patches that an exemplar lacks are absent, or black.

    Attributes:
        targets: int64 (n,), class ids; of questions, the modality's number.
        generation: number of the generation that it reads.

    Raises:
        StoreError: the store cannot be read, or the generation is gone.
    """

    def __init__(
        self,
        path: Path,
        generation: int | None = None,
        threads: int = 1,
        dropped: Literal["absent", "black"] = "absent",
    ) -> None:
        self._reader = StoreReader(path, generation, threads)
        self._dropped = dropped
        self.targets: NDArray[np.int64] = self._reader.labels
        self.generation: int = self._reader.snapshot.generation.number

    def __len__(self) -> int:
        return len(self._reader)

    @overload
    def __getitem__(self, key: int) -> Sample: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sample]: ...
    def __getitem__(self, key: int | slice) -> Sample | list[Sample]:
        """An item, or some, checked and decoded.

        Raises:
            IndexError: there is no such item.
            Damaged: its bytes are not what was written.
        """
        if isinstance(key, slice):
            return self.__getitems__(range(*key.indices(len(self))))
        return self._sample(self._reader.read(key))

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """A batch; `DataLoader` asks for whole batches where a data set can give them.

        The store is read in the order in which it lies on the disk. Raises as `__getitem__`.
        """
        return [self._sample(one) for one in self._reader.read_many(indices)]

    def _sample(self, exemplar: Exemplar) -> Sample:
        tokens = {name: its for name, its in exemplar.tokens.items() if name != LOGITS}
        logits = exemplar.tokens[LOGITS].values if LOGITS in exemplar.tokens else None
        stored = Sample(tokens, _target(exemplar), exemplar.sample_id, exemplar.stage, logits)
        return replay_form(stored, exemplar.source_hw, self._dropped)


def _target(exemplar: Exemplar) -> int | QuestionAnswer:
    asked = exemplar.target
    return QuestionAnswer(asked.question, (asked.answer,)) if asked.question or asked.answer else exemplar.label

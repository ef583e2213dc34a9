"""What every reader gives: the samples of a data set, by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.tokens import Sample, Tokens

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class RawSample:
    """One sample as people see it.

    Attributes:
        picture: uint8 (H, W, 3).
        text: as it enters the tokenizer.
        label: class id.
        id: the data set's stable number of the sample.
        name: what is shown, or the file that it comes from.
        style: who drew it; empty where that is not known.
        mask: bool (H, W), the object's outline where it is known: ground truth for judging token masks, never an input.
    """

    picture: NDArray[np.uint8]
    text: str
    label: int
    id: int
    name: str
    style: str = ""
    mask: NDArray[np.bool_] | None = None


class Dataset(ABC):
    """One split of a data set. Pictures are read when they are asked for.

    Attributes:
        classes: names of all classes of the data set; a label is an index into them.
        labels: int64 (n,), class id of each sample.
        ids: int64 (n,), stable sample numbers, ascending, unique over both splits.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __init__(self, modalities: Sequence[str]) -> None:
        self._modalities = tuple(modalities)

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def raw(self, index: int) -> RawSample:
        """A sample's picture, text and origin.

        Raises:
            UserError: the picture cannot be decoded; names the file.
            IndexError: no such sample.
        """

    @abstractmethod
    def check(self) -> None:
        """See, before a run begins, that every picture is there and begins as one.

        Raises:
            UserError: one is not; names the file.
        """

    def sample(self, index: int, tokenizers: Tokenizers, stage: int) -> Sample:
        """The sample as tokens: "image" patches and "text" ids, as far as wanted. Raises as `raw` does."""
        raw = self.raw(index)
        tokens: dict[str, Tokens] = {}
        if "image" in self._modalities:
            tokens["image"] = tokenizers.image.encode(raw.picture)
        if "text" in self._modalities:
            tokens["text"] = tokenizers.text.encode(raw.text)
        return Sample(tokens, target=raw.label, id=raw.id, stage=stage)

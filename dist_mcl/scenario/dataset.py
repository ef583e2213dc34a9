"""What every reader gives: the samples of a data set, by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.builders.progress import Track, untold
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
        modalities: what `sample` makes tokens of, "image" and "text" or one of them.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __init__(self, modalities: Sequence[str]) -> None:
        self.modalities = tuple(modalities)

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
    def text(self, index: int) -> str:
        """A sample's text; no picture is read for it."""

    @abstractmethod
    def source(self, index: int) -> str:
        """What people call a sample: its file, or what is drawn and by whom."""

    def check(self, track: Track = untold) -> None:
        """See, before a run begins, that every picture is there and begins as one. Without pictures nothing is read.

        Raises:
            UserError: one is not; names the file.
        """
        if "image" in self.modalities:
            for index in track(range(len(self)), "looking at the pictures"):
                self.check_picture(index)

    @abstractmethod
    def check_picture(self, index: int) -> None:
        """See that a picture is there and begins as one. Raises as `check`."""

    def sample(self, index: int, tokenizers: Tokenizers, stage: int) -> Sample:
        """The sample as tokens: "image" patches and "text" ids, as far as wanted. Raises as `raw` does."""
        tokens: dict[str, Tokens] = {}
        if "image" in self.modalities:
            tokens["image"] = tokenizers.image.encode(self.raw(index).picture)
        if "text" in self.modalities:
            tokens["text"] = tokenizers.text.encode(self.text(index))
        return Sample(tokens, target=int(self.labels[index]), id=int(self.ids[index]), stage=stage)

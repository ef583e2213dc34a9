"""One split of a data set of questions: what a reader knows before any media file is read, and its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import MediaError, MediaTokenizer
from dist_mcl.tokens import QuestionAnswer, Sample


@dataclass(frozen=True)
class QuestionItem:
    """One question about one media file, not read yet.

    Attributes:
        source: what people call the media: the file, or the file and the place in it. Questions about the same media
            have the same source.
        open: a stream of the media file; raises FileNotFoundError.
        file: the media file, where it is one of its own; it need not be there.
        place: where the experiment names the data set, for messages; empty until the question is chosen.
    """

    question: QuestionAnswer
    source: str
    open: Callable[[], BinaryIO]
    file: Path | None = None
    place: str = ""


class Questions:
    """Questions as samples; media are read when they are asked for.

    Args:
        modality: under which a sample carries its tokens.
        tokenizer: of the modality.
        items: what is asked.
        first_id: number of the first sample; they are counted on.
        left_out: how many questions are not among the items since their media file is not there.

    Attributes:
        ids: int64 (n,), sample numbers, ascending.
        questions: what is asked of each sample.
    """

    def __init__(
        self,
        modality: str,
        tokenizer: MediaTokenizer,
        items: Sequence[QuestionItem],
        first_id: int = 0,
        left_out: int = 0,
    ) -> None:
        self.modality, self.tokenizer, self.left_out = modality, tokenizer, left_out
        self._items = tuple(items)
        self.ids: NDArray[np.int64] = np.arange(first_id, first_id + len(items), dtype=np.int64)
        self.questions = tuple(item.question for item in items)

    def __len__(self) -> int:
        return len(self._items)

    def source(self, index: int) -> str:
        """What people call a sample's media."""
        return self._items[index].source

    def media(self, index: int) -> NDArray[Any]:
        """A sample's media as the tokenizer reads it.

        Raises:
            UserError: the file is missing or damaged; names it.
        """
        item = self._items[index]
        return _mended(item, lambda stream: self.tokenizer.read(stream))

    def sample(self, index: int, stage: int) -> Sample:
        """The sample as tokens of its modality, one or more, with its question.

        Raises:
            UserError: as `media`, or its media have no tokens.
        """
        item = self._items[index]
        try:
            tokens = self.tokenizer.encode(self.media(index))
        except ValueError as error:
            raise UserError(f"{item.source}: {error}; mend the file, or tokens of {self.modality}") from error
        if not len(tokens):
            raise UserError(f"{item.source}: has no tokens; bring a whole file")
        return Sample({self.modality: tokens}, target=item.question, id=int(self.ids[index]), stage=stage)

    def check(self) -> None:
        """See, before a run begins, that every media file is there and not empty.

        Raises:
            UserError: one is not; names it.
        """
        for item in {item.source: item for item in self._items}.values():
            if not _mended(item, lambda stream: stream.read(1)):
                raise UserError(f"{item.source}: is empty; bring a whole file")


_Read = TypeVar("_Read")


def _mended(item: QuestionItem, read: Callable[[BinaryIO], _Read]) -> _Read:
    """What `read` makes of a media file; its errors name the file."""
    try:
        with item.open() as stream:
            return read(stream)
    except FileNotFoundError as error:
        raise UserError(
            f"{item.source}: no such file; bring it back, or set {item.place}.missing_media: skip to leave such "
            "questions out"
        ) from error
    except (MediaError, OSError) as error:
        raise UserError(f"{item.source}: {error}; bring a whole file") from error

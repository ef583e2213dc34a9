"""Data sets of photographs: a list of what there is, and each picture read from its place when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from dist_mcl.errors import UserError
from dist_mcl.scenario.dataset import Dataset, RawSample, Split

# What Pillow's decoders raise on damaged, foreign and monstrous files.
_NO_PICTURE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Item:
    """One picture with one text, not read yet.

    Attributes:
        text: None where the picture has none.
        label: name of its class.
        source: what people call it: the file, or the file and the place in it.
        open: a stream of the coded picture.
    """

    text: str | None
    label: str
    source: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Listing:
    """All that a reader knows before any picture is read.

    Attributes:
        classes: class names in the order of their ids.
        train, test: in an order that depends on the data alone.
        text_mend: what to do about a picture that has no text.
    """

    classes: tuple[str, ...]
    train: Sequence[Item]
    test: Sequence[Item]
    text_mend: str

    def splits(self, modalities: Sequence[str], missing_text: str) -> dict[Split, Dataset]:
        """Both splits as data sets; sample ids count through training and test in the listing's order.

        Args:
            modalities: what samples are made of; without "text" no picture needs one.
            missing_text: "skip" to leave out pictures without a text, "empty" to learn from the picture alone.

        Raises:
            UserError: a split is empty, a text is missing, or a class is not one of `classes`.
        """
        needs_text = "text" in modalities
        numbered = list(enumerate([*self.train, *self.test]))
        if needs_text and missing_text == "refuse":
            self._refuse_missing([item for _, item in numbered if item.text is None])
        skips = needs_text and missing_text == "skip"
        kept = [(number, item) for number, item in numbered if item.text is not None or not skips]
        border = len(self.train)
        return {
            "train": Pictures("train", [one for one in kept if one[0] < border], self.classes, modalities),
            "test": Pictures("test", [one for one in kept if one[0] >= border], self.classes, modalities),
        }

    def _refuse_missing(self, without: Sequence[Item]) -> None:
        if without:
            more = f" and {len(without) - 1} other pictures have" if len(without) > 1 else " has"
            raise UserError(
                f"{without[0].source}{more} no text; {self.text_mend}, set data.missing_text: skip to leave such "
                f"pictures out or empty to learn from them alone, or data.modalities: [image]"
            )


class Pictures(Dataset):
    """One split of a listing.

    Args:
        split: its name, for people.
        items: pictures by sample id, ascending.
        classes: names of all classes.
        modalities: what `sample` makes tokens of.

    Raises:
        UserError: there is nothing in it, or an item's class is unknown.
    """

    def __init__(
        self, split: Split, items: Sequence[tuple[int, Item]], classes: Sequence[str], modalities: Sequence[str]
    ) -> None:
        super().__init__(modalities)
        if not items:
            raise UserError(f"data: the {split} split has no picture with a text; see docs/data.md for the layout")
        self.classes = tuple(classes)
        self._items = [item for _, item in items]
        self.ids = np.array([number for number, _ in items], dtype=np.int64)
        self.labels = np.array(_class_ids(self._items, self.classes), dtype=np.int64)

    def raw(self, index: int) -> RawSample:
        """The decoded picture in RGB, and its text. Raises UserError as `Dataset.raw` says."""
        item = self._items[index]
        pixels = np.asarray(read_picture(item))
        return RawSample(pixels, self.text(index), int(self.labels[index]), int(self.ids[index]), name=item.source)

    def text(self, index: int) -> str:
        return self._items[index].text or ""

    def source(self, index: int) -> str:
        return self._items[index].source

    def check_picture(self, index: int) -> None:
        """Read its first bytes; `mcl data check` decodes all of it."""
        with _decoding(self._items[index]):
            pass


def in_file(path: Path) -> Callable[[], BinaryIO]:
    """Opens a picture that is a file of its own."""
    return lambda: path.open("rb")


def read_picture(item: Item) -> Image.Image:
    """The whole picture in RGB. Raises UserError naming the file where it is missing or cannot be decoded."""
    with _decoding(item) as picture:
        return picture.convert("RGB")


@contextmanager
def _decoding(item: Item) -> Iterator[Image.Image]:
    try:
        with item.open() as stream, Image.open(stream) as picture:
            yield picture
    except FileNotFoundError as error:
        raise UserError(f"{item.source}: no such picture; bring the file back") from error
    except _NO_PICTURE as error:
        raise UserError(f"{item.source}: the picture cannot be read ({error}); bring a whole file") from error


def _class_ids(items: Sequence[Item], classes: Sequence[str]) -> list[int]:
    numbers = {name: number for number, name in enumerate(classes)}
    for item in items:
        if item.label not in numbers:
            raise UserError(
                f"{item.source}: class {item.label!r} is none of the {len(classes)} classes of the data set "
                f"({_some(classes)}); remove the picture or mend its class"
            )
    return [numbers[item.label] for item in items]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

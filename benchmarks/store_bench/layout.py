"""What every way of keeping exemplars has to do to be compared."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.image import PATCH
from exemplar_store import EncodedExemplar, Exemplar, Jpeg, TokenIds, Tokens
from store_bench.pictures import SIDE

IMAGE, TEXT = Jpeg(quality=90), TokenIds.for_vocabulary(30_522)
GRID = (SIDE // PATCH, SIDE // PATCH)
Record = dict[str, bytes]


@dataclass(frozen=True)
class Item:
    """One exemplar as the layouts get it.

    Attributes:
        exemplar: its tokens, not coded.
        encoded: as the store keeps it. All containers keep these very bytes, so that only the containers differ.
        picture: uint8 (224, 224, 3), the whole picture.
    """

    exemplar: Exemplar
    encoded: EncodedExemplar
    picture: NDArray[np.uint8]

    @property
    def record(self) -> Record:
        """What a container without a notion of tokens has to keep of an exemplar."""
        image, text = self.encoded.parts
        words = text.grid[0].to_bytes(2, "little")
        return {"image": image.payload, "kept": image.mask, "text": text.payload, "words": words + text.mask}


class Reader(Protocol):
    """An open layout; `StoreReader` is one."""

    def read(self, index: int) -> Any:
        """Exemplar ``index``, decoded: `tokens_of` its record, or what the layout has instead."""

    def read_many(self, indices: Sequence[int]) -> list[Any]:
        """Several exemplars, by whatever the layout has for this."""


class Layout(Protocol):
    """A way to keep exemplars.

    Attributes:
        name: what it is called in the table.
        note: in what it differs from the others, beside speed and size.
    """

    name: str
    note: str

    def prepare(self, items: Sequence[Item]) -> Sequence[Any]:
        """Code the exemplars; this is not timed."""

    def write(self, folder: Path, prepared: Sequence[Any]) -> None:
        """Fill an empty folder with what was prepared; this is timed."""

    def open(self, folder: Path) -> Reader: ...


class OneByOne(ABC):
    """Reads many by reading each."""

    @abstractmethod
    def read(self, index: int) -> Any: ...

    def read_many(self, indices: Sequence[int]) -> list[Any]:
        return [self.read(index) for index in indices]


def tokens_of(image: bytes, kept: bytes, text: bytes, words: bytes) -> dict[str, Tokens]:
    """The tokens of an `Item.record`, decoded by the same codecs for every container."""
    length = int.from_bytes(words[:2], "little")
    places, said = positions(kept, math.prod(GRID)), positions(words[2:], length)
    return {
        "image": Tokens(IMAGE.decode(image, len(places)), places, GRID),
        "text": Tokens(TEXT.decode(text, len(said)), said, (length,)),
    }


def positions(mask: bytes, places: int) -> NDArray[np.int64]:
    """Where the first ``places`` bits are set."""
    bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=places, bitorder="little")
    return np.flatnonzero(bits).astype(np.int64)

"""The emoji and the Cataclysm-DDA set: drawings, composed to scenes when they are read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.data_config import CddaData, EmojiData
from dist_mcl.errors import UserError
from dist_mcl.scenario.dataset import Dataset, RawSample, Split
from dist_mcl.scenario.scenes import Scene, photo_scene, plain_scene
from dist_mcl.scenario.tables import OBJECTS, PHOTOGRAPHS, folder_of, read_objects, read_photographs, shipped_folder
from dist_mcl.scenario.texts import class_stems, hard_text


def read_emoji(config: EmojiData, seed: int) -> dict[Split, Dataset]:
    """Both splits of the emoji set. Raises as `Scenes` does."""
    return _both(config, seed, photographs=None)


def read_cdda(config: CddaData, seed: int) -> dict[Split, Dataset]:
    """Both splits of the Cataclysm-DDA set; photographs come from the emoji set. Raises as `Scenes` does."""
    return _both(config, seed, photographs=shipped_folder("emoji"))


def _both(config: EmojiData | CddaData, seed: int, photographs: Path | None) -> dict[Split, Dataset]:
    def split(name: Split) -> Scenes:
        return Scenes(
            config.dataset,
            name,
            scene=config.scene,
            text=config.text,
            seed=seed if config.scene_seed is None else config.scene_seed,
            modalities=config.modalities,
            folder=config.folder,
            photographs=photographs,
        )

    return {"train": split("train"), "test": split("test")}


class Scenes(Dataset):
    """One split of a data set, read by index.

    A sample's picture and text depend on `seed` and the sample's id alone, so every process, order and repetition sees
    the same pixels and words. Photographs behind training and test objects are disjoint.

    Args:
        name: the data set, e.g. "emoji".
        split: "train" or "test".
        scene: "photo" puts the object at a random place and size on a photograph, "none" in full size on white.
        text: "hard" keeps a few words that do not name any class, "full" keeps everything.
        seed: of places, sizes, crops and word windows.
        modalities: what `sample` makes tokens of.
        classes: class ids to keep; all when left out. Class ids do not change by this.
        folder: where the data set lies; its usual place when left out.
        photographs: folder of the photographs; `folder` when left out.

    Attributes:
        classes: names of all classes of the data set; a label is an index into them.
        labels: int64 (n,), class id of each sample.
        ids: int64 (n,), stable sample numbers, ascending.

    Raises:
        UserError: data that is missing or unreadable, or unknown class ids.
    """

    def __init__(
        self,
        name: str,
        split: Split,
        *,
        scene: Literal["none", "photo"] = "photo",
        text: Literal["hard", "full"] = "hard",
        seed: int = 0,
        modalities: Sequence[str] = ("image", "text"),
        classes: Iterable[int] | None = None,
        folder: Path | None = None,
        photographs: Path | None = None,
    ) -> None:
        super().__init__(modalities)
        self._folder = folder or folder_of(name)
        table, info = read_objects(self._folder)
        self.classes, self._side, self._hard_words = info.classes, info.side, info.hard_words
        labels = _column(table, "label")
        _check_labels(self._folder, labels, len(self.classes))
        rows = np.flatnonzero(_column(table, "split") == split)
        self._rows = rows[np.isin(labels[rows], self._known(classes))]
        self._table = table.take(self._rows).combine_chunks()
        self.labels = _column(self._table, "label").astype(np.int64)
        self.ids = _column(self._table, "id").astype(np.int64)
        self._photographs = _photographs(photographs or self._folder, split) if scene == "photo" else None
        self._banned = class_stems(self.classes) if text == "hard" else None
        self._seed = seed

    def raw(self, index: int) -> RawSample:
        """The sample's composed picture, outline, text and origin.

        Raises:
            UserError: the stored picture cannot be decoded; names the file and the row.
            IndexError: no such sample.
        """
        row = {name: self._table[name][index].as_py() for name in ("id", "name", "style", "label")}
        scene = self._scene(index, row["id"])
        return RawSample(
            picture=scene.picture,
            mask=scene.mask,
            text=self.text(index),
            label=row["label"],
            id=row["id"],
            name=row["name"],
            style=row["style"],
        )

    def text(self, index: int) -> str:
        text: str = self._table["text"][index].as_py()
        if self._banned is None:
            return text
        return hard_text(text, self._banned, self._seed, int(self.ids[index]), self._hard_words)

    def source(self, index: int) -> str:
        return f"{self._table['name'][index]}, {self._table['style'][index]}"

    def check_picture(self, index: int) -> None:
        """Decode the drawing."""
        self._drawing(index)

    def _known(self, classes: Iterable[int] | None) -> list[int]:
        wanted = list(range(len(self.classes)) if classes is None else classes)
        unknown = sorted(set(wanted) - set(range(len(self.classes))))
        if unknown:
            raise UserError(f"classes: {unknown} are not class ids; choose from 0 to {len(self.classes) - 1}")
        return wanted

    def _scene(self, index: int, sample_id: int) -> Scene:
        drawing = self._drawing(index)
        if self._photographs is None:
            return plain_scene(drawing)
        return photo_scene(drawing, self._photographs, self._seed, sample_id)

    def _drawing(self, index: int) -> Image.Image:
        place = f"{self._folder / OBJECTS}: row {self._rows[index]}"
        drawing = _decode(self._table["picture"][index].as_py(), "RGBA", place)
        if drawing.size != (self._side, self._side):
            raise UserError(f"{place}: the picture is {drawing.size} pixels, not {self._side} square; {_MEND}")
        return drawing


_MEND = "the file is damaged, make it again with `mcl data prepare NAME`, NAME being one of `mcl data list`"


def _check_labels(folder: Path, labels: NDArray[np.generic], classes: int) -> None:
    wrong = np.flatnonzero(~np.isin(labels, np.arange(classes)))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"{folder / OBJECTS}: row {row}: label {labels[row]} is none of the {classes} classes; {_MEND}")


def _column(table: pa.Table, name: str) -> NDArray[np.generic]:
    return table[name].to_numpy()


def _photographs(folder: Path, split: Split) -> list[Image.Image]:
    table = read_photographs(folder)
    place = f"{folder / PHOTOGRAPHS}: row "
    return [
        _decode(picture, "RGB", f"{place}{row}")
        for row, (picture, of) in enumerate(zip(table["picture"].to_pylist(), table["split"].to_pylist(), strict=True))
        if of == split
    ]


def _decode(coded: bytes, mode: str, place: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(coded)).convert(mode)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise on damaged files
        raise UserError(f"{place}: the picture cannot be read ({error}); {_MEND}") from error

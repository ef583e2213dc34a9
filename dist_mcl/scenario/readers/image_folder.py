"""A folder of pictures for each class, with captions.

    FOLDER/train/CLASS/*.jpg  FOLDER/test/CLASS/*.jpg  FOLDER/captions.jsonl

or FOLDER/CLASS/*.jpg with `data.test_share`. Classes are the folders' names in alphabetical order, as torchvision's
ImageFolder numbers them. A picture with several captions is as many samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dist_mcl.data_config import ImageFolderData, ImageNetRData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing, in_file
from dist_mcl.scenario.readers.files import CAPTIONS, PICTURE_SUFFIXES, read_captions

_SHARE_SEED = 1993


def read(config: ImageFolderData | ImageNetRData) -> Listing:
    """What the folder holds. Raises UserError where it has no pictures, or a caption for none."""
    captions = read_captions(config.folder)
    train, test = _split(config.folder, config.test_share)
    _check_captions(config.folder, captions, [*train, *test])
    return Listing(
        classes=tuple(sorted({path.parent.name for path in train})),
        train=_items(config.folder, train, captions),
        test=_items(config.folder, test, captions),
        text_mend=f"make captions with `mcl data caption {config.folder} --model MODEL`",
    )


def pictures_of(folder: Path) -> list[Path]:
    """All pictures FOLDER/CLASS/*, sorted by path.

    Raises:
        UserError: there are none.
    """
    found = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise UserError(f"{folder}: no pictures in folders of classes there; docs/data.md shows the layout")
    return found


def _split(folder: Path, test_share: float | None) -> tuple[list[Path], list[Path]]:
    if (folder / "train").is_dir():
        if test_share is not None:
            raise UserError(f"data.test_share: {folder} has train/ and test/ already; remove the field")
        return pictures_of(folder / "train"), pictures_of(folder / "test")
    if test_share is None:
        raise UserError(f"{folder}: has no folder train; give the right folder, or data.test_share if it has classes")
    return _drawn(pictures_of(folder), test_share)


def _drawn(pictures: Sequence[Path], share: float) -> tuple[list[Path], list[Path]]:
    # Class by class, so that no class is without test pictures.
    random = np.random.default_rng(_SHARE_SEED)
    train: list[Path] = []
    test: list[Path] = []
    for name in sorted({path.parent.name for path in pictures}):
        members = [path for path in pictures if path.parent.name == name]
        count = round(share * len(members))
        chosen = set(random.permutation(len(members))[:count].tolist())
        test += [path for index, path in enumerate(members) if index in chosen]
        train += [path for index, path in enumerate(members) if index not in chosen]
    return train, test


def _items(folder: Path, pictures: Sequence[Path], captions: dict[str, list[str]]) -> list[Item]:
    return [
        Item(text, path.parent.name, str(path), in_file(path))
        for path in pictures
        for text in captions.get(path.relative_to(folder).as_posix(), [None])
    ]


def _check_captions(folder: Path, captions: dict[str, list[str]], pictures: Sequence[Path]) -> None:
    unknown = sorted(set(captions) - {path.relative_to(folder).as_posix() for path in pictures})
    if unknown:
        raise UserError(
            f"{folder / CAPTIONS}: {len(unknown)} of its pictures are not in the folder, the first is {unknown[0]}; "
            f"bring them back or remove the lines"
        )

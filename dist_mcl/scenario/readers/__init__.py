"""One file a data set: what its folder looks like, and how its pictures, texts and classes are found there.

A new data set is a section in `dist_mcl.data_config`, a file here with a function from that section to a `Listing` (or
to both splits), a row in `_LISTINGS`, and a row in the table of tests/dist_mcl/scenario/readers/test_readers.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dist_mcl.data_config import AnyData, CddaData, EmojiData
from dist_mcl.scenario.dataset import Dataset, Split
from dist_mcl.scenario.pictures import Listing
from dist_mcl.scenario.readers import (
    food101,
    hateful_memes,
    huggingface,
    image_folder,
    imagenet_r,
    mm_imdb,
    webdataset,
)
from dist_mcl.scenario.readers.drawings import read_cdda, read_emoji

_LISTINGS: dict[str, Callable[[Any], Listing]] = {
    "food101": food101.read,
    "hateful_memes": hateful_memes.read,
    "huggingface": huggingface.read,
    "image_folder": image_folder.read,
    "imagenet_r": imagenet_r.read,
    "mm_imdb": mm_imdb.read,
    "webdataset": webdataset.read,
}


def open_splits(config: AnyData, seed: int) -> dict[Split, Dataset]:
    """The training and the test split of the data set that a configuration names.

    Args:
        seed: of what is composed when it is read (scenes and word windows); photographs are what they are.

    Raises:
        UserError: a file is missing, damaged or of another layout, a text is missing or a class unknown; one line that
            names the file and the mend.
    """
    if isinstance(config, EmojiData):
        return read_emoji(config, seed)
    if isinstance(config, CddaData):
        return read_cdda(config, seed)
    return _LISTINGS[config.dataset](config).splits(config.modalities, config.missing_text)

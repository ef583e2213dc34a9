"""MM-IMDb (arXiv 1702.01992): film posters and plots, with 23 genres of which a film has one or several.

    split.json {"train", "dev", "test": [id, ...]}   images/ID.jpeg   labels/ID.json {"plot": [...], "genres": [...]}

or `mmimdb_train.arrow`, `mmimdb_dev.arrow`, `mmimdb_test.arrow` with image, plots, genres and image_id. A film with
several plots is as many samples. Class-incremental learning wants one class each, see `data.genre`: films with none of
the 23 genres are left out, and by `only` those with several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dist_mcl.data_config import MMIMDbData
from dist_mcl.errors import UserError
from dist_mcl.scenario.pictures import Item, Listing, in_file
from dist_mcl.scenario.readers.arrow import open_table, picture_of, texts_of
from dist_mcl.scenario.readers.files import inside, read_json

GENRES = (
    *("Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy"),
    *("Film-Noir", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Short", "Sport"),
    *("Thriller", "War", "Western"),
)


def read(config: MMIMDbData) -> Listing:
    """What the folder holds, in either layout. Raises UserError where a file is missing or damaged."""
    rows = _from_arrow if (config.folder / "mmimdb_train.arrow").exists() else _from_tree
    train, test = (
        [item for row in rows(config.folder, split) for item in _items(row, config.genre == "only")]
        for split in ("train", config.evaluate_on)
    )
    classes = tuple(genre for genre in GENRES if any(item.label == genre for item in train))
    return Listing(classes, train, test, "the film has no plot")


@dataclass(frozen=True)
class _Film:
    """One film as it is told of: its plots, its genres and its poster."""

    source: str
    plots: Any
    genres: Any
    poster: Callable[[], BinaryIO]


def _items(film: _Film, only: bool) -> list[Item]:
    genres = [genre for genre in texts_of(film.genres, film.source) if genre in GENRES]
    if not genres or (only and len(genres) > 1):
        return []
    return [Item(plot, str(genres[0]), film.source, film.poster) for plot in texts_of(film.plots, film.source)]


def _from_tree(folder: Path, split: str) -> list[_Film]:
    films = read_json(folder / "split.json", dict).get(split)
    if not isinstance(films, list):
        raise UserError(f"{folder / 'split.json'}: has no list {split!r}; get it again")
    return [_film(folder, name) for name in films]


def _film(folder: Path, name: object) -> _Film:
    told_by = str(folder / "split.json")
    facts = read_json(inside(folder / "labels", f"{name}.json", told_by), dict)
    poster = inside(folder / "images", f"{name}.jpeg", told_by)
    return _Film(str(poster), facts.get("plot"), facts.get("genres"), in_file(poster))


def _from_arrow(folder: Path, split: str) -> list[_Film]:
    path = folder / f"mmimdb_{split}.arrow"
    table = open_table(path, ("image", "plots", "genres"))
    pairs = zip(table["plots"].to_pylist(), table["genres"].to_pylist(), strict=True)
    return [
        _Film(f"{path}: row {row}", plots, genres, picture_of(table, "image", row))
        for row, (plots, genres) in enumerate(pairs)
    ]

"""Four modalities of real 3-D models: pictures, clips, depth maps and point clouds of catalogues of Sweet Home 3D.

Class = a rule on the model's name (`classes`). Split by model; models of equal geometry, which differ in colour or size
only, stay on one side. Nothing is drawn by a graphics library: points of a model's surface are, each by itself.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.packages.download import Package, read_members
from dist_mcl.packages.shapes import CATALOGUES, PACKAGES, Catalogue
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.builders.questions import QuestionTables
from dist_mcl.scenario.builders.shapes.catalogue import CatalogueEntry, read_entries
from dist_mcl.scenario.builders.shapes.classes import CLASSES, class_of
from dist_mcl.scenario.builders.shapes.media import ModelMedia, made_or_make
from dist_mcl.scenario.builders.shapes.questions import CANDIDATES, Model, ask_all
from dist_mcl.scenario.builders.variants import draw_test_groups
from dist_mcl.scenario.questions.tables import QuestionsInfo

TITLE = "Pictures, clips, depth maps and point clouds of real 3-D models"
LICENCE = "CC0-1.0 AND CC-BY-3.0 AND CC-BY-3.0-US AND GPL-2.0-or-later"
_SMALL_GROUP = 1  # models; such a group may be tested on however small its class is


@dataclass(frozen=True)
class Shapes:
    """The whole set.

    Attributes:
        tables: what is written.
        models: what is in it.
    """

    tables: QuestionTables
    models: Sequence[Model]
    info: QuestionsInfo


def build(archives: Mapping[Package, Path], work: Path, most: int | None, track: Track) -> Shapes:
    """Make the set from the downloaded packages.

    Args:
        work: folder for what is made of single models: interrupted, a second call goes on from there.
        most: models of each class, the first ones of the catalogues; all when left out.
        track: yields a sequence and shows progress.

    Raises:
        UserError: a package is damaged or another one.
    """
    opened = {name: archive for package in PACKAGES for name, archive in _open(package, archives[package])}
    chosen = _chosen([entry for catalogue in CATALOGUES for entry in _entries(catalogue, opened)], most)
    made = [
        (entry, label, made_or_make(entry, _Archive(opened[entry.catalogue]), work))
        for entry, label in track(chosen, "shooting models")
    ]
    models = _split([one for one in made if one[2].geometry])
    return Shapes(ask_all(models), models, QuestionsInfo(TITLE, LICENCE, CANDIDATES))


def _open(package: Package, path: Path) -> Iterator[tuple[str, zipfile.ZipFile]]:
    """The catalogues of a package, by name."""
    inside = [catalogue for catalogue in CATALOGUES if catalogue.package == package]
    contents = read_members(path, [catalogue.archive for catalogue in inside])
    for catalogue in inside:
        try:
            yield catalogue.name, zipfile.ZipFile(io.BytesIO(contents[catalogue.archive]))
        except zipfile.BadZipFile as error:
            raise UserError(f"{catalogue.archive}: not a whole archive; delete the package and run again") from error


def _entries(catalogue: Catalogue, opened: Mapping[str, zipfile.ZipFile]) -> list[CatalogueEntry]:
    try:
        properties = opened[catalogue.name].read(catalogue.properties)
    except KeyError as error:
        raise UserError(f"{catalogue.archive}: has no {catalogue.properties}; the package is another one") from error
    return list(read_entries(catalogue.name, properties))


def _chosen(entries: Sequence[CatalogueEntry], most: int | None) -> list[tuple[CatalogueEntry, str]]:
    counts: Counter[str] = Counter()
    chosen = []
    for entry in entries:
        label = class_of(entry.name, entry.category)
        if label is not None and (most is None or counts[label] < most):
            counts[label] += 1
            chosen.append((entry, label))
    return chosen


def _split(made: Sequence[tuple[CatalogueEntry, str, ModelMedia]]) -> list[Model]:
    by_class = [[media.geometry for _, label, media in made if label == name] for name in CLASSES]
    test = draw_test_groups(by_class, always=_SMALL_GROUP)
    numbers = {
        geometry: number for number, geometry in enumerate(dict.fromkeys(media.geometry for _, _, media in made))
    }
    return [
        Model(entry, label, media, numbers[media.geometry], "test" if media.geometry in test else "train")
        for entry, label, media in made
    ]


class _Archive(Mapping[str, bytes]):
    """The files of an archive, unpacked when they are asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = frozenset(archive.namelist())

    def __getitem__(self, name: str) -> bytes:
        return self._archive.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

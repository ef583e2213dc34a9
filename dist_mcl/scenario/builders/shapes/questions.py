"""What is asked about the media of 3-D models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dist_mcl.scenario.builders.questions import QuestionTables
from dist_mcl.scenario.builders.shapes.camera import MOTIONS
from dist_mcl.scenario.builders.shapes.catalogue import CatalogueEntry
from dist_mcl.scenario.builders.shapes.classes import CLASSES
from dist_mcl.scenario.builders.shapes.media import ModelMedia

WORDINGS = {
    "category": ("What kind of object is this?", "Which category does the object belong to?", "Name its category."),
    "name": ("What is this object called?", "Describe the object in a few words."),
    "taller": ("Is the object taller than it is wide?", "Is its height greater than its width?"),
    "motion": ("What does the object do in the clip?", "How does the object move?"),
    "nearer": ("Which half of the view is nearer, the left or the right?",),
}
_SAME = (0.85, 1.18)  # height by width: between them nobody could tell


def words(label: str) -> str:
    """A class's name as an answer."""
    return label.replace("_", " ")


CANDIDATES = {
    "category": tuple(map(words, CLASSES)),
    "motion": MOTIONS,
    "nearer": ("left", "right"),
    "taller": ("yes", "no"),
}


@dataclass(frozen=True)
class Model:
    """A model that is in the set.

    Attributes:
        group: number of its geometry.
        split: "train" or "test".
    """

    entry: CatalogueEntry
    label: str
    media: ModelMedia
    group: int
    split: Literal["train", "test"]


def ask_all(models: Sequence[Model]) -> QuestionTables:
    """The tables of the whole set, model after model."""
    tables = QuestionTables(WORDINGS)
    random = np.random.default_rng(0)
    for model in models:
        row: dict[str, object] = {
            "name": model.entry.name,
            "source": f"{model.entry.catalogue}: {model.entry.path}",
            "label": model.label,
            "group": model.group,
            "split": model.split,
        }
        _ask_about_pictures(tables, model, row, random)
        _ask_about_clips(tables, model, row)
        _ask_about_depths(tables, model, row)
        _ask_about_cloud(tables, model, row)
    return tables


_Row = Mapping[str, object]


def _ask_about_pictures(tables: QuestionTables, model: Model, row: _Row, random: np.random.Generator) -> None:
    answers = _answers(model)
    for view, picture in enumerate(model.media.pictures):
        media = tables.add_media("image", **row, media=picture)
        task = "name" if view % 4 and random.integers(2) else "category"
        tables.ask("image", media, task, answers[task], model.split)


def _ask_about_clips(tables: QuestionTables, model: Model, row: _Row) -> None:
    for number, (clip, motion) in enumerate(zip(model.media.clips, model.media.motions, strict=True)):
        media = tables.add_media("video", **row, media=clip)
        tables.ask("video", media, "motion", motion, model.split)
        if number == 0:
            tables.ask("video", media, "category", words(model.label), model.split)


def _ask_about_depths(tables: QuestionTables, model: Model, row: _Row) -> None:
    for view, (depth, nearer) in enumerate(zip(model.media.depths, model.media.nearer, strict=True)):
        media = tables.add_media("depth", **row, media=depth)
        if view % 2 == 0:
            tables.ask("depth", media, "category", words(model.label), model.split)
            if nearer:
                tables.ask("depth", media, "nearer", nearer, model.split)


def _ask_about_cloud(tables: QuestionTables, model: Model, row: _Row) -> None:
    media = tables.add_media("point_cloud", **row, media=model.media.cloud)
    for task, answer in _answers(model).items():
        tables.ask("point_cloud", media, task, answer, model.split)
    width, _, height = model.entry.size
    if width and height and not _SAME[0] < height / width < _SAME[1]:
        tables.ask("point_cloud", media, "taller", "yes" if height > width else "no", model.split)


def _answers(model: Model) -> dict[str, str]:
    return {"category": words(model.label), "name": model.entry.name.lower()}

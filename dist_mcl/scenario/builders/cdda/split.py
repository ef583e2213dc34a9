"""What makes the Cataclysm-DDA split honest: nothing of a test thing was seen in training, neither sprite nor words."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from dist_mcl.scenario.builders.cdda.definitions import Thing
from dist_mcl.scenario.builders.variants import Groups, draw_test_groups, nearly_equal

NEARLY_EQUAL = 0.85
_MOST_SHARERS = 3
# Equal sprites are found at this size: a choice that the published split depends on.
_GROUPING_SIDE = 48


@dataclass(frozen=True)
class Picture:
    """One artist's drawing of one thing."""

    thing: Thing
    label: str
    style: str
    drawing: Image.Image

    @cached_property
    def pixels(self) -> str:
        """Digest, equal for sprites that look equal."""
        extent = max(self.drawing.size)
        white = Image.new("RGBA", (extent, extent), "white")
        corner = ((extent - self.drawing.width) // 2, (extent - self.drawing.height) // 2)
        white.alpha_composite(self.drawing, corner)
        resampling = Image.Resampling.NEAREST if extent <= _GROUPING_SIDE else Image.Resampling.BOX
        small = white.convert("RGB").resize((_GROUPING_SIDE, _GROUPING_SIDE), resampling)
        return hashlib.md5(np.asarray(small).tobytes(), usedforsecurity=False).hexdigest()


def drop_shared(pictures: Sequence[Picture]) -> list[Picture]:
    """Leave out sprites of more than 3 things or of two classes (placeholders), and a thing's second equal sprite."""
    things, labels = defaultdict(set), defaultdict(set)
    for picture in pictures:
        things[picture.pixels].add(picture.thing.id)
        labels[picture.pixels].add(picture.label)
    own = [one for one in pictures if len(things[one.pixels]) <= _MOST_SHARERS and len(labels[one.pixels]) == 1]
    first: dict[tuple[str, str], Picture] = {}
    for one in own:
        first.setdefault((one.thing.id, one.pixels), one)
    return list(first.values())


def group_things(pictures: Sequence[Picture]) -> dict[str, str]:
    """The group of each thing, named by one of its things.

    Things share a group when they share a sprite or a description, or when the cosine of the TF-IDF vectors of their
    descriptions exceeds 0.85.
    """
    groups = Groups()
    for one in pictures:
        thing: Hashable = ("t", one.thing.id)
        groups.join(("s", one.pixels), thing)
        groups.join(("d", one.thing.description), thing)
    for first, second in nearly_equal({(one.thing.id, one.thing.description) for one in pictures}, NEARLY_EQUAL):
        groups.join(("t", first), ("t", second))
    return {one.thing.id: str(groups.find(("t", one.thing.id))) for one in pictures}


def choose_test_groups(
    pictures: Sequence[Picture], groups: Mapping[str, str], classes: Sequence[str]
) -> frozenset[Hashable]:
    """Draw whole groups, class by class, until a quarter of the class's pictures is for testing."""
    return draw_test_groups(
        [[groups[one.thing.id] for one in pictures if one.label == label] for label in classes], always=0
    )

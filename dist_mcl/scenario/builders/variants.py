"""Keep variants of one thing on one side of the split, so that no test picture or text was learned from.

Without this, 2 % of the test emoji are pixel-equal to a training picture and 21 % have nearly the same keywords.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from sklearn.feature_extraction.text import TfidfVectorizer

TEST_SHARE = 0.25
# A group this large relative to its class stays in training, or it would be the class's whole test set.
LARGEST_TEST_GROUP = 0.2
NEARLY_EQUAL = 0.9
# Words and signs that only tell variants of the same drawing apart: gender, direction, punctuation.
_VARIANT = re.compile(
    r"\b(wo)?m[ae]n\b|\bperson\b|\bpeople\b|\bboys?\b|\bgirls?\b|\bfacing right\b|\bm?rs?\.? claus|[^a-z ]"
)


@dataclass(frozen=True)
class Drawn:
    """What grouping needs to know of one picture."""

    thing: str
    label: str
    name: str
    text: str
    pixels: str  # digest: equal for pixel-equal pictures


class Groups:
    """Disjoint sets. Which member stands for its group decides the split, so joining keeps a fixed direction."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        """What stands for the group of an item."""
        root = item
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        self._parent[item] = root
        return root

    def join(self, item: Hashable, other: Hashable) -> None:
        """Make one group of both; what stood for the other's stands for it."""
        self._parent[self.find(item)] = self.find(other)


def group_variants(pictures: Sequence[Drawn]) -> dict[str, Hashable]:
    """The group of each thing.

    Things share a group when a picture of theirs is pixel-equal, when their names are equal without gender and
    direction inside one class, or when the cosine of their TF-IDF keyword vectors exceeds 0.9.
    """
    groups = Groups()
    for drawn in pictures:
        thing = ("e", drawn.thing)
        groups.join(thing, ("h", drawn.pixels))
        base = " ".join(_VARIANT.sub(" ", drawn.name.lower()).split())
        if base:
            groups.join(thing, ("b", base, drawn.label))
    for one, other in nearly_equal({(drawn.thing, drawn.text) for drawn in pictures}, NEARLY_EQUAL):
        groups.join(("e", one), ("e", other))
    return {drawn.thing: groups.find(("e", drawn.thing)) for drawn in pictures}


def nearly_equal(texts: Iterable[tuple[str, str]], cosine_above: float) -> list[tuple[str, str]]:
    """Pairs of keys whose texts have nearly the same TF-IDF vectors.

    Args:
        texts: (key, text).
        cosine_above: of the vectors of two texts that are nearly equal.
    """
    ordered = sorted(texts)
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform([text for _, text in ordered])
    cosine = (vectors @ vectors.T).tocoo()
    return [
        (ordered[i][0], ordered[j][0])
        for i, j, value in zip(cosine.row, cosine.col, cosine.data, strict=True)
        if i < j and value > cosine_above
    ]


def choose_test_groups(
    pictures: Sequence[Drawn], groups: dict[str, Hashable], classes: Sequence[str]
) -> frozenset[Hashable]:
    """Draw whole groups, class by class, until a quarter of the class's things is for testing."""
    things = ({drawn.thing for drawn in pictures if drawn.label == label} for label in classes)
    return draw_test_groups([[groups[thing] for thing in members] for members in things], always=2)


def draw_test_groups(classes: Sequence[Sequence[Hashable]], always: int) -> frozenset[Hashable]:
    """Draw whole groups, class by class, until a quarter of the class is for testing.

    Args:
        classes: for each class the group of each of its members.
        always: a group of so many members may be drawn, however small the class.
    """
    shuffle = random.Random(0).shuffle
    test: set[Hashable] = set()
    for members in classes:
        sizes = Counter(members)
        order = sorted(sizes, key=str)
        shuffle(order)
        taken = 0
        for group in order:
            if taken >= TEST_SHARE * len(members):
                break
            if sizes[group] <= max(always, LARGEST_TEST_GROUP * len(members)):
                test.add(group)
                taken += sizes[group]
    return frozenset(test)

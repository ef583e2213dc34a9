"""What a split really holds: counts, and the two ways in which data tell the answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.dataset import Dataset
from dist_mcl.scenario.texts import WORD, class_stems, stem


@dataclass(frozen=True)
class Inspection:
    """What was found in a split.

    Attributes:
        counts: samples by class id.
        named: samples whose text has a word of their own class's name.
        pictures: digests of the decoded pictures, equal for pictures that are equal pixel by pixel; none where pictures
            are not wanted.
    """

    counts: Counter[int]
    named: int
    pictures: Counter[str]

    def copies(self, other: Inspection) -> int:
        """How many of this split's samples show a picture that the other one has too."""
        return sum(count for digest, count in self.pictures.items() if digest in other.pictures)

    def __str__(self) -> str:
        samples, counts = self.counts.total(), self.counts.values()
        return (
            f"{samples} samples of {len(counts)} classes, {min(counts)} to {max(counts)} in each; "
            f"{100 * self.named / samples:.0f} % of the texts have a word of their class's name"
        )


def inspect(dataset: Dataset, track: Track, name: str) -> Inspection:
    """Read and decode every sample, or its text alone where pictures are not wanted.

    Args:
        track: yields a sequence and shows progress under `name`.

    Raises:
        UserError: a picture cannot be read; names the file.
    """
    stems = [class_stems([name]) for name in dataset.classes]
    pictures: Counter[str] = Counter()
    named = 0
    for index in track(range(len(dataset)), name):
        if "image" in dataset.modalities:
            picture = dataset.raw(index).picture
            pictures[hashlib.sha256(picture.tobytes() + repr(picture.shape).encode()).hexdigest()] += 1
        named += bool(stems[dataset.labels[index]] & {stem(word) for word in WORD.findall(dataset.text(index))})
    return Inspection(Counter(dataset.labels.tolist()), named, pictures)

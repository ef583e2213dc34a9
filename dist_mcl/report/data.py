"""What a report is made of: plain values, read from a run by whoever asks for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dist_mcl.evaluation import AccuracyMatrix
from dist_mcl.evaluation.modalities import ModalityScores


@dataclass(frozen=True)
class LossCurve:
    """One loss over the optimiser steps of a stage.

    Attributes:
        name: what it is measured on, e.g. "fresh" or "replay"; curves of one name share a colour in all stages.
        steps: (P,) optimiser steps, from 0 in each stage.
        values: (P,) loss at these steps; NaN leaves a gap.
    """

    name: str
    steps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class StageRecord:
    """One finished stage.

    Attributes:
        brings: names of the classes, or of the modality, that it brought.
        seconds: wall time by step of the stage (train, memorise, evaluate, ...), in running order; not empty. Starting
            the stage's processes is no step.
        exemplars: number of exemplars in the store when it ended.
        store_bytes: bytes of all files of the store when it ended.
        losses: training curves; may be empty.
    """

    brings: Sequence[str]
    seconds: Mapping[str, float]
    exemplars: int
    store_bytes: int
    losses: Sequence[LossCurve] = ()


@dataclass(frozen=True)
class ClassRecord:
    """One class after the last finished stage.

    Attributes:
        name: as the dataset calls it.
        stage: the stage (from 1) that brought it.
        exemplars: number kept.
        coded_bytes: bytes of their coded pictures and texts, without the store's own overhead.
        accuracy: share of its test items predicted right, None without test items.
    """

    name: str
    stage: int
    exemplars: int
    coded_bytes: int
    accuracy: float | None


@dataclass(frozen=True)
class Word:
    """One text token of an exemplar.

    Attributes:
        text: as a reader should see it; None for a dropped token that is no longer known.
        kept: whether the exemplar holds it.
        joins: whether it goes on with the word before it, without a space.
    """

    text: str | None
    kept: bool
    joins: bool = False


@dataclass(frozen=True, eq=False)
class ExemplarPicture:
    """One masked exemplar for the gallery.

    Attributes:
        class_name: name of its class.
        rank: herding rank in its class, 0 = best.
        picture: (H, W, 3) uint8, kept patches in their places; whatever stands elsewhere is not shown.
        kept: (rows, columns) bool, which patches of the grid are kept; H and W are multiples of its sides.
        words: its text, token by token.
        coded_bytes: bytes of its coded picture and text.

    Raises:
        ValueError: the shapes or dtypes are not those above.
    """

    class_name: str
    rank: int
    picture: NDArray[np.uint8]
    kept: NDArray[np.bool_]
    words: Sequence[Word]
    coded_bytes: int

    def __post_init__(self) -> None:
        picture, kept = self.picture, self.kept
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"picture must be (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
        if kept.dtype != np.bool_ or kept.ndim != 2 or 0 in kept.shape:
            raise ValueError(f"kept must be (rows, columns) bool, got {kept.shape} {kept.dtype}")
        if picture.shape[0] % kept.shape[0] or picture.shape[1] % kept.shape[1]:
            raise ValueError(f"a picture of {picture.shape[:2]} does not divide into a grid of {kept.shape}")


@dataclass(frozen=True, eq=False)
class ReportData:
    """What the report of every run shows.

    Attributes:
        name: name of the run.
        planned_stages: number of stages of the plan; more than `stages` while the run is unfinished.
        stages: the finished stages, in order; at least one.
        budget: bytes that the store may take; 0 = no exemplars.
        config: the configuration, as YAML.
        versions: version by package.

    Raises:
        ValueError: stages and plan disagree.
    """

    name: str
    planned_stages: int
    stages: Sequence[StageRecord]
    budget: int
    config: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        if not 1 <= len(self.stages) <= self.planned_stages:
            raise ValueError(f"{len(self.stages)} stage records for a plan of {self.planned_stages}")

    @property
    def exemplars(self) -> int:
        """Number of exemplars in the store after the last finished stage."""
        return self.stages[-1].exemplars

    @property
    def store_bytes(self) -> int:
        """Bytes of all files of the store after the last finished stage."""
        return self.stages[-1].store_bytes

    @property
    def seconds(self) -> float:
        """Wall time of all steps of the finished stages."""
        return sum(sum(stage.seconds.values()) for stage in self.stages)


@dataclass(frozen=True, eq=False)
class ClassReport(ReportData):
    """Of a run whose stages bring classes.

    Attributes:
        matrix: accuracy matrix of the finished stages.
        classes: the classes met so far, in order of arrival.
        whole_image_bytes: mean bytes of the pictures of the exemplars had they been kept whole, as JPEG; None if
            unknown or without exemplars.
        whole_image_quality: quality of that JPEG.
        gallery: exemplars to show; the first few of each class are enough.

    Raises:
        ValueError: stages, matrix and plan disagree, the classes' exemplars do not add up to the last stage's, or a
            gallery item's class is not among `classes`.
    """

    matrix: AccuracyMatrix
    classes: Sequence[ClassRecord]
    whole_image_bytes: float | None
    whole_image_quality: int
    gallery: Sequence[ExemplarPicture]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matrix.stages != len(self.stages):
            raise ValueError(f"{len(self.stages)} stage records for a matrix of {self.matrix.stages} stages")
        _check_counted(self, "classes", self.classes)
        unknown = {item.class_name for item in self.gallery} - {item.name for item in self.classes}
        if unknown:
            raise ValueError(f"gallery shows classes that are not among the classes met: {sorted(unknown)}")


@dataclass(frozen=True)
class ModalityRecord:
    """What a modality was learned from, and what is kept of it after the last finished stage.

    Attributes:
        learned, tested: number of questions for training, and for testing.
        parameters: how many trained in its stage.
        exemplars: number of questions kept.
        coded_bytes: bytes of their coded media, questions and answers, without the store's own overhead.
    """

    learned: int
    tested: int
    parameters: int
    exemplars: int = 0
    coded_bytes: int = 0


@dataclass(frozen=True, eq=False)
class ModalityReport(ReportData):
    """Of a run whose stages bring modalities, one each, or all of them where they are learned at once.

    Attributes:
        scores: S of the finished stages.
        modalities: in the order of their arrival.
        details: by modality and data set, every score after the last finished stage by its name, such as exact_match.

    Raises:
        ValueError: stages, scores, modalities and details disagree, or the modalities' exemplars do not add up to the
            last stage's.
    """

    scores: ModalityScores
    modalities: Sequence[ModalityRecord]
    details: Mapping[str, Mapping[str, Mapping[str, float]]]

    def __post_init__(self) -> None:
        super().__post_init__()
        order = self.scores.order
        brought = sum(len(stage.brings) for stage in self.stages)
        if not brought == len(order) == len(self.modalities) or (len(self.stages) != len(order) and not self.is_joint):
            raise ValueError(f"{len(self.stages)} stage records for scores of {len(order)} modalities")
        _check_counted(self, "modalities", self.modalities)
        if {name: set(sets) for name, sets in self.details.items()} != {
            name: set(self.scores.scores[order[-1]][name]) for name in order
        }:
            raise ValueError(f"the details are of other data sets than the scores after {order[-1]}")

    @property
    def is_joint(self) -> bool:
        """Whether all modalities were learned at once."""
        return self.scores.is_joint


def _check_counted(data: ReportData, of: str, records: Sequence[ClassRecord | ModalityRecord]) -> None:
    counted = sum(record.exemplars for record in records)
    if counted != data.exemplars:
        raise ValueError(f"the {of} hold {counted} exemplars, the last stage {data.exemplars}")

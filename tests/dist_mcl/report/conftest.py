"""A run that never was: made-up but plausible data for the report."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dist_mcl.evaluation import AccuracyMatrix
from dist_mcl.evaluation.modalities import ModalityScores
from dist_mcl.report import (
    ClassRecord,
    ClassReport,
    ExemplarPicture,
    LossCurve,
    ModalityRecord,
    ModalityReport,
    StageRecord,
    Word,
)

CLASSES = [
    *("animal-bird", "animal-bug", "animal-mammal", "animal-marine", "animal-reptile", "arrow", "award-medal"),
    *("body-parts", "book-paper", "cat-face", "clothing", "dishware", "drink", "event", "face-affection"),
    *("face-costume", "face-negative", "face-smiling", "food-asian", "food-fruit", "food-prepared", "food-sweet"),
    *("food-vegetable", "hand-fingers-open", "household", "light-video", "lock", "money", "music-instrument"),
    *("office", "person-activity", "person-role", "place-building", "plant-flower", "sky-weather", "tool"),
    "transport-ground",
]
WORDS = ["small", "red", "wing", "shine", "cup", "sun", "hard", "paper", "wheel", "leaf", "night", "soft", "round"]
CONFIG = """name: quickstart
seed: 0
data:
  dataset: emoji
  scene: photo
  text: hard
scenario:
  kind: class_incremental
  stages: 5
model:
  backbone: small
  adapter:
    kind: ssf
exemplars:
  budget: 524288
  masker:
    kind: mean
  text_mask: cross_modal
"""
VERSIONS = {"dist-mcl": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "deepspeed": "0.19.8", "zarr": "3.1.6"}
BUDGET = 512 * 1024


def make_matrix(stages: int, forgetting: float, rng: np.random.Generator) -> AccuracyMatrix:
    learned = rng.uniform(0.68, 0.86, stages)
    rows = [
        [float(learned[j] * (forgetting ** (i - j)) + rng.uniform(-0.02, 0.02)) for j in range(i + 1)]
        for i in range(stages)
    ]
    return AccuracyMatrix.from_rows(rows, rng.integers(180, 420, stages).tolist())


def make_losses(replayed: bool, rng: np.random.Generator) -> list[LossCurve]:
    steps = range(0, 240, 2)
    fall = np.exp(-np.arange(120) / 30)
    fresh = 0.6 + 2.4 * fall + rng.normal(0, 0.15, 120)
    replay = 0.4 + 0.9 * fall + rng.normal(0, 0.12, 120)
    curves = [LossCurve("fresh", steps, fresh.tolist())]
    return [*curves, LossCurve("replay", steps, replay.tolist())] if replayed else curves


def make_scene(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright disc or box on a cluttered ground, and the patches that it touches."""
    coarse = Image.fromarray(rng.integers(40, 200, (7, 7, 3), dtype=np.uint8))
    picture = coarse.resize((96, 96), Image.Resampling.BICUBIC)
    x, y, side = rng.integers(4, 40), rng.integers(4, 40), rng.integers(36, 52)
    box = (int(x), int(y), int(x + side), int(y + side))
    draw, outline = ImageDraw.Draw(picture), Image.new("L", (96, 96))
    colour = tuple(rng.integers(120, 255, 3).tolist())
    shape = "ellipse" if rng.random() < 0.6 else "rectangle"
    getattr(draw, shape)(box, fill=colour, outline="#222", width=2)
    getattr(ImageDraw.Draw(outline), shape)(box, fill=255)
    kept = np.asarray(outline).reshape(6, 16, 6, 16).mean(axis=(1, 3)) > 40
    return np.asarray(picture), kept


def make_exemplar(name: str, rank: int, rng: np.random.Generator) -> ExemplarPicture:
    picture, kept = make_scene(rng)
    texts = rng.choice(WORDS, 3, replace=False).tolist()
    words = [Word(text if rank else None, False) if i == 1 else Word(text, True) for i, text in enumerate(texts)]
    return ExemplarPicture(name, rank, picture, kept, words, int(120 * kept.sum() + 60))


def make_report(stages: int = 5, budget: int = BUDGET, shown: int = 3) -> ClassReport:
    rng = np.random.default_rng(0)
    parts = np.array_split(np.array(CLASSES), stages)
    arrival = {str(name): stage for stage, part in enumerate(parts, start=1) for name in part}
    kept = {name: int(rng.integers(8, 13)) if budget else 0 for name in CLASSES}
    records = [
        StageRecord(
            brings=[str(name) for name in part],
            seconds={"expand": 0.4, "train": 31.0 + 9 * i, "memorise": 8.5, "evaluate": 2.0 + i, "commit": 0.1},
            exemplars=sum(kept.values()) * (i + 1) // stages,
            store_bytes=int(budget * 0.994 * (i + 1) / stages),
            losses=make_losses(bool(i and budget), rng),
        )
        for i, part in enumerate(parts)
    ]
    return ClassReport(
        name="quickstart",
        planned_stages=stages,
        matrix=make_matrix(stages, 0.93 if budget else 0.45, rng),
        stages=records,
        budget=budget,
        classes=[
            ClassRecord(name, arrival[name], kept[name], 1190 * kept[name], float(rng.uniform(0.2, 0.95)))
            for name in CLASSES
        ],
        whole_image_bytes=3390.0 if budget else None,
        whole_image_quality=90,
        gallery=[make_exemplar(name, rank, rng) for name in CLASSES for rank in range(shown)] if budget else [],
        config=CONFIG,
        versions=VERSIONS,
    )


_OF_AUDIO = {"clotho/caption": {"CIDEr": 0.9}, "clotho_aqa/qa": {"vqa_accuracy": 0.9}}


def make_modality_report(
    stages: int = 3, budget: int = 0, joint: bool = False, captions: bool = False
) -> ModalityReport:
    """Of accuracies; with captions those of audio are CIDEr, which is no accuracy."""
    audio = "clotho/caption" if captions else "clotho_aqa/qa"
    tests = {"image": ("shapes/category", "shapes/name"), "audio": (audio,), "depth": ("shapes/nearer",)}
    scales = {"audio": {"clotho/caption": "CIDEr"}}
    order = tuple(tests)[:stages]
    scores = {
        after: {name: dict.fromkeys(tests[name], 0.3 + 0.1 * number) for name in order[: number + 1]}
        for number, after in enumerate(order)
    }
    found = ModalityScores(order, scores, scale_of=scales)
    if joint:
        found = ModalityScores.of_joint(order, scores[order[-1]], scales)
    seconds = {"train": 31.0, "memorise": 0.0, "evaluate": 2.0}
    kept = [7 + number if budget else 0 for number in range(stages)]
    return ModalityReport(
        name="five",
        planned_stages=1 if joint else 3,
        stages=[
            StageRecord(brings, seconds, sum(kept[: number + 1]), budget // 2)
            for number, brings in enumerate([order] if joint else [[name] for name in order])
        ],
        budget=budget,
        config=CONFIG,
        versions=VERSIONS,
        scores=found,
        modalities=[
            ModalityRecord(400 + number, 80, 583_390 - number, kept[number], 100 * kept[number])
            for number in range(stages)
        ],
        details={
            name: {test: {"exact_match": 0.4, **_OF_AUDIO.get(test, {})} for test in sets}
            for name, sets in scores[order[-1]].items()
        },
    )


@pytest.fixture
def make_modality_data() -> Callable[..., ModalityReport]:
    return make_modality_report


@pytest.fixture
def make_report_data() -> Callable[..., ClassReport]:
    return make_report

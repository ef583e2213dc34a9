"""Which runs the study consists of. Each is one `mcl run` of study.yaml; `Cell.command` says which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studies.cells import Result
from studies.command import Scale
from studies.preset_run import PresetRun

STUDY = Path(__file__).parent / "study.yaml"

DataName = Literal["photo", "plain", "cdda"]

DATA: dict[str, tuple[str, ...]] = {
    "photo": (),
    "plain": ("data.scene=none",),
    "cdda": ("data={dataset: cdda, text: hard, scene_seed: 0}",),
}
SEEDS = (0, 1, 2)
MORE_SEEDS = (3, 4)
"""Besides these, for the three methods between which the study is to decide, at the middle budget of `photo`."""
PHASES = 5
BUDGETS = {"photo": (40, 96, 240), "plain": (96,), "cdda": (96,)}  # KiB
"""Of each data set, in KiB; the middle one is where everything is compared."""

NO_MEMORY = ("fine_tuning", "joint")
CURVE = ("jpeg_q75", "random", "compact")
"""Compared everywhere."""
ABLATION = ("low_res", "box", "paper", "compact_text", "compact_swap", "compact_distilled")
"""Compared at the middle budget of the photo scenes only."""


@dataclass(frozen=True)
class Cell(PresetRun):
    """One run.

    Attributes:
        data: key of `DATA`.
        phases: stages in which the classes arrive.
        method: preset of study.yaml.
        budget: KiB; 0 where nothing is remembered.
        seed: of batches, weights and whatever is drawn; pictures, words and the order of classes stay as they are.
        per_class: training samples of a class, and at most as many test samples.
    """

    study = STUDY

    data: str
    phases: int
    method: str
    budget: int
    seed: int
    per_class: int

    @property
    def name(self) -> str:
        return f"{self.data}-{self.phases}x-{self.method}-{self.budget}KiB-seed{self.seed}"

    @property
    def overrides(self) -> list[str]:
        stages = 1 if self.method == "joint" else self.phases
        return [
            *DATA[self.data],
            f"data.max_per_class={self.per_class}",
            f"scenario.stages={stages}",
            f"exemplars.budget={self.budget}KiB",
            f"seed={self.seed}",
        ]

    def run(self) -> Result:
        from studies.exemplar_masking.cell import run_cell  # loads torch; writing the page does without

        return run_cell(self)


def cells(scale: Scale) -> list[Cell]:
    """All runs of a scale, those that say most first."""
    per_class = {"photo": 30, "cdda": 20, "plain": 20} if scale == "full" else {"photo": 20}
    found = [
        Cell(data, phases, method, budget, seed, per_class[data])
        for blocks in (_FULL if scale == "full" else _SMALL)
        for seed in SEEDS
        for data, phases, methods, budgets in blocks
        for budget in budgets
        for method in methods
    ]
    if scale == "full":
        found += [Cell("photo", PHASES, method, _PHOTO, seed, 30) for seed in MORE_SEEDS for method in CURVE]
    return found


def middle(data: str) -> int:
    """The budget at which a data set's methods are compared, in KiB."""
    budgets = BUDGETS[data]
    return budgets[len(budgets) // 2]


_Block = tuple[str, int, Sequence[str], Sequence[int]]  # data, phases, methods, budgets: all with all
_PHOTO, _SMALLEST, _LARGEST = middle("photo"), BUDGETS["photo"][0], BUDGETS["photo"][-1]
_SMALL: list[list[_Block]] = [
    [("photo", PHASES, (*CURVE, "jpeg_q90"), (_PHOTO,)), ("photo", PHASES, NO_MEMORY, (0,))],
]
_FULL: list[list[_Block]] = [
    [
        *_SMALL[0],
        ("photo", PHASES, ("jpeg_q75", "compact"), (_SMALLEST, _LARGEST)),
        ("photo", PHASES, ABLATION, (_PHOTO,)),
    ],
    [("cdda", PHASES, (*CURVE, "jpeg_q90"), (middle("cdda"),)), ("cdda", PHASES, NO_MEMORY, (0,))],
    [("plain", PHASES, (*CURVE, "jpeg_q90"), (middle("plain"),)), ("plain", PHASES, NO_MEMORY, (0,))],
    [("photo", 2 * PHASES, CURVE, (_PHOTO,))],
]

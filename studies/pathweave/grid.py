"""Which runs the study consists of. Each is one `mcl run` of study.yaml; `Cell.command` says which.

A run of `ana` or `independent` takes 11 to 14 minutes of a core, with few questions about nine: `processor_seconds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from dist_mcl.config_file import read_mapping
from studies.cells import Result
from studies.command import Scale
from studies.preset_run import PresetRun

STUDY = Path(__file__).parent / "study.yaml"

Setting = Literal["usual", "few", "reversed"]

SEEDS = (0, 1, 2)
BASELINES = ("ana", "independent", "independent_wider", "lora", "full", "lora_replay", "joint", "lora_ewc", "lora_lwf")
VARIANTS = ("ana_ungated", "ana_plain", "ana_official", "ana_connector", "independent_connector")
METHODS = BASELINES + VARIANTS
"""Presets of study.yaml, as the page has them."""
DECISIVE = ("ana", "independent")
"""Compared in the other settings, too; with few questions beside `VARIANTS`, of which some may build on more."""
ON_ALL_TESTS = (*DECISIVE, "independent_wider", *VARIANTS)
"""Asked all test questions of the data sets after the last stage: what they differ by is small."""
SMALL_METHODS = ("ana", "independent", "lora")
FEW = 300
_SMALL_QUESTIONS = {"max_questions": 80, "max_test_questions": 20}


@dataclass(frozen=True)
class Cell(PresetRun):
    """One run.

    Attributes:
        method: preset of study.yaml.
        seed: of all that trains, and of the batches.
        setting: usual, that of study.yaml; few, modalities after the first one have `FEW` questions to learn from;
            reversed, the last modality comes first.
        is_small: with few questions.
    """

    study = STUDY

    method: str
    seed: int
    setting: Setting = "usual"
    is_small: bool = False

    @property
    def name(self) -> str:
        return f"{self.setting}-{self.method}-seed{self.seed}"

    @property
    def overrides(self) -> list[str]:
        seed = f"seed={self.seed}"
        if self.setting == "usual" and not self.is_small:
            return [seed]
        stages = _stages()
        if self.setting == "reversed":
            stages = stages[::-1]
        if self.setting == "few":
            stages = [stages[0], *(_with_data(stage, {"max_questions": FEW}) for stage in stages[1:])]
        if self.is_small:
            stages = [_with_data(stage, _SMALL_QUESTIONS) for stage in stages]
        return [f"scenario.stages={_in_one_line(stages)}", seed]

    @property
    def asks_all_tests(self) -> bool:
        """Whether all test questions of the data sets are asked at the end, which takes longer than a small run."""
        return self.method in ON_ALL_TESTS and not self.is_small

    def run(self) -> Result:
        from studies.pathweave.cell import run_cell  # loads torch; writing the page does without

        return run_cell(self)


def cells(scale: Scale) -> list[Cell]:
    """All runs of a scale, those that say most first: a method is on the page as soon as all its seeds are there."""
    if scale == "small":
        return [Cell(method, seed, is_small=True) for seed in SEEDS[:2] for method in SMALL_METHODS]
    return [
        *(Cell(method, seed) for method in BASELINES for seed in SEEDS),
        *(Cell(method, seed, "few") for method in DECISIVE + VARIANTS for seed in SEEDS),
        *(Cell(method, seed, "reversed") for method in DECISIVE for seed in SEEDS),
    ]


@lru_cache(maxsize=1)
def stage_names() -> tuple[str, ...]:
    """The modalities, in the usual order."""
    return tuple(stage["modality"] for stage in _stages())


def setting(path: str) -> Any:
    """What study.yaml says of all methods, such as `training.epochs`."""
    found: Any = read_mapping(STUDY)
    for name in path.split("."):
        found = found[name]
    return found


def _stages() -> list[dict[str, Any]]:
    return list(setting("scenario.stages"))


def _with_data(stage: dict[str, Any], fields: dict[str, int]) -> dict[str, Any]:
    return {**stage, "data": {**stage["data"], **fields}}


def _in_one_line(values: object) -> str:
    return yaml.safe_dump(values, default_flow_style=True, width=10**6, sort_keys=False).strip()

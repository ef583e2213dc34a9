"""One run of a study, as a preset of the study's configuration and what is laid over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from dist_mcl import config
from dist_mcl.config import Experiment
from studies.cells import Result


class PresetRun(ABC):
    """A run that anybody can repeat by its command.

    Attributes:
        study: the configuration.
        method: its preset.
    """

    study: ClassVar[Path]
    method: str

    @property
    @abstractmethod
    def overrides(self) -> list[str]:
        """Settings such as `"seed=0"` that are laid over the preset."""

    @abstractmethod
    def run(self) -> Result:
        """Do it; the result is plain values."""

    @property
    def experiment(self) -> Experiment:
        return config.load(self.study, self.overrides, self.method)

    @property
    def command(self) -> str:
        settings = " ".join(f"--set '{one}'" for one in self.overrides)
        path = self.study.relative_to(Path(__file__).parents[1])
        return f"mcl run {path} --preset {self.method} {settings}"

"""The folder of one run.

experiment.yaml   the configuration, complete, as the run was last continued with
plan.json         which classes arrive in which stage, and what a stage waits for; written once, when the run begins
exemplars/        the exemplar store (absent when exemplars.budget is 0)
stages/<nn>/      see `dist_mcl.run_folder.stage`
lock/             see `dist_mcl.run_folder.lock`
slurm/            batch scripts of a run that was submitted
STOP              a person's wish that it stops; workers save and end
report.html       the report
"""

from __future__ import annotations

import json
import tempfile
import uuid
from dataclasses import asdict, dataclass, replace
from graphlib import TopologicalSorter
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from dist_mcl import config
from dist_mcl.differences import differing_fields, some_of
from dist_mcl.errors import UserError
from dist_mcl.files import sync_folder, write_json, write_text
from dist_mcl.run_folder.stage import STEPS, StageFolder

FORMAT = 2
"""Of what runs hold and how they are scored. It grows with a change that a run which was begun before must not see."""
# By kind of scenario, the oldest that this version goes on with. 2: the manifests of modalities' adapters, and
# conversations that are scored as captions.
_OLDEST_FORMAT = {"class_incremental": 1, "modality_incremental": 2}


@dataclass(frozen=True)
class Plan:
    """What a run is going to do, fixed when it begins.

    Attributes:
        run_id: names the run; its exemplar store carries the same one.
        class_names: by class id of the dataset.
        stages: class ids that arrive in each stage, in order of arrival.
        parents: for each stage the numbers (from 1) of the stages that must be done before it.
        format: `FORMAT` of the version that began it; plans of before there was one are of the first.
    """

    run_id: str
    class_names: list[str]
    stages: list[list[int]]
    parents: list[list[int]]
    format: int = 1

    @classmethod
    def chain(cls, class_names: list[str], stages: list[list[int]]) -> Plan:
        """A new run whose every stage builds upon the one before it."""
        parents = [[number] if number else [] for number in range(len(stages))]
        return cls(uuid.uuid4().hex, class_names, stages, parents, FORMAT)

    def order(self) -> list[int]:
        """Stage numbers, parents before children.

        Raises:
            graphlib.CycleError: stages wait for each other.
        """
        return list(TopologicalSorter(dict(enumerate(self.parents, start=1))).static_order())

    @property
    def class_order(self) -> list[int]:
        """All class ids in order of arrival: the rows of the head."""
        return [class_id for stage in self.stages for class_id in stage]


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path
    experiment: config.Experiment
    plan: Plan

    def write(self) -> None:
        """Begin the run on disk, in a folder that is not there yet or is empty; it appears whole or not at all.

        Raises:
            UserError: the folder cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            built = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            built.chmod(0o755)
            self._write_experiment(built)
            write_json(built / "plan.json", asdict(self.plan))
            built.rename(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise UserError(
                f"{self.path}: the run folder cannot be made: {error.strerror}; choose one with --run"
            ) from error

    def save_experiment(self) -> None:
        """Let workers see what was changed of a run that goes on; call it with the run's lock held.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            self._write_experiment(self.path)
        except OSError as error:
            raise UserError(f"{self.path / 'experiment.yaml'}: cannot be written: {error.strerror}") from error

    def _write_experiment(self, folder: Path) -> None:
        experiment = self.experiment.model_dump(mode="json")
        write_text(folder / "experiment.yaml", yaml.safe_dump(experiment, sort_keys=False))

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that was begun.

        Raises:
            UserError: the folder holds no run, or its configuration is not readable by this version.
        """
        if not cls.exists(path):
            raise UserError(f"{path}: holds no run (no plan.json); start one with `mcl run CONFIG`")
        try:
            plan = Plan(**json.loads((path / "plan.json").read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path / 'plan.json'}: is damaged, or of another version ({error})") from error
        return cls(path, config.load(path / "experiment.yaml"), plan)

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Whether a run was begun in this folder."""
        return (path / "plan.json").is_file()

    def check_can_continue(self) -> None:
        """Refuse to go on with a run whose later stages would be of another format than its earlier ones.

        A finished run is never refused.

        Raises:
            UserError: another version of dist-mcl began it.
        """
        is_known = _OLDEST_FORMAT[self.experiment.scenario.kind] <= self.plan.format <= FORMAT
        if not is_known and not all(folder.is_done() for folder in self.stages()):
            raise UserError(
                f"{self.path}: another version of dist-mcl began this run (format {self.plan.format}, here {FORMAT}), "
                "which stores or scores in another way; finish it with that version, or begin anew in another folder "
                "with --run"
            )

    def check_same_experiment(self, experiment: config.Experiment) -> None:
        """Refuse to continue this run with a configuration that would give another result.

        Raises:
            UserError: names some of the fields that differ.
        """
        different = list(differing_fields(experiment.result_fields(), self.experiment.result_fields()))
        if different:
            raise UserError(
                f"{self.path}: holds a run of another configuration: {some_of(different)}; "
                f"choose another folder with --run, or remove this one"
            )

    def launched_with(self, **changes: object) -> RunFolder:
        """The same run with other fields of its launcher, which do not change its result."""
        launcher = self.experiment.launcher.model_copy(update=changes)
        return replace(self, experiment=self.experiment.model_copy(update={"launcher": launcher}))

    @property
    def store(self) -> Path:
        return self.path / "exemplars"

    @property
    def stop_file(self) -> Path:
        return self.path / "STOP"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def stage(self, number: int) -> StageFolder:
        """Folder of a stage, counted from 1."""
        return StageFolder(self.path / "stages" / f"{number:02d}", number)

    def stages(self) -> list[StageFolder]:
        """Folders of all stages, parents before children."""
        return [self.stage(number) for number in self.plan.order()]

    def finished_records(self) -> list[dict[str, dict[str, Any]]]:
        """Record by step of each stage, up to the first that is not finished or was damaged since."""
        finished = takewhile(StageFolder.is_done, self.stages())
        return [{step: folder.record(step) or {} for step in STEPS} for folder in finished]

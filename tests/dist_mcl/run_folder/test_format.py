"""Runs that another version began: looked at where that can be, and not continued where the stages would not agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dist_mcl import config, worker
from dist_mcl.coordinator.intervene import reopen
from dist_mcl.coordinator.start import open_or_plan
from dist_mcl.display import outcome, status_rows
from dist_mcl.errors import UserError
from dist_mcl.report import collect
from dist_mcl.run_folder import STEPS, Plan, RunFolder, StageState
from dist_mcl.run_folder.run import FORMAT
from dist_mcl.training.preemption import StopSignals

CONFIGS = Path(__file__).parents[3] / "configs"
CLASSES, MODALITIES = config.load(CONFIGS / "quickstart.yaml"), config.load(CONFIGS / "mcl_five_modalities.yaml")
REFUSED = (
    r"^[^\n]*another version of dist-mcl began this run \(format {}[^\n]* finish it with that version, or begin anew"
)


def begun(path: Path, experiment: config.Experiment, number: int | None) -> RunFolder:
    """A run of two stages by a version of that format; None: of before there were formats."""
    RunFolder(path, experiment, Plan.chain(["image", "depth"], [[0], [1]])).write()
    plan = json.loads((path / "plan.json").read_text())
    assert plan.pop("format") == FORMAT
    (path / "plan.json").write_text(json.dumps(plan if number is None else {**plan, "format": number}))
    return RunFolder.open(path)


def finish(run: RunFolder, *tasks: dict[str, list[str]]) -> None:
    """Finish as many stages as there are mappings of the data sets and tasks that each was scored on by modality."""
    for folder, scored in zip(run.stages(), tasks, strict=False):
        scores = {name: dict.fromkeys(its, 0.5) for name, its in scored.items()}
        details = {name: {one: {"exact_match": 0.5} for one in its} for name, its in scored.items()}
        memory = {"exemplars": 0, "bytes": 0, "classes": {}}
        trained = {"loss": [1.0], "fresh_samples": 4, "exemplars": 0, "trainable_parameters": 9}
        found = {"scores": scores, "details": details, "items": [2] * len(scored)}
        folder.adapter.mkdir(parents=True)
        for step, record in zip(STEPS, (trained, memory, found), strict=True):
            folder.finish(step, {**record, "seconds": 1.0})
        folder.seal()


@pytest.mark.parametrize("number", [None, 1, FORMAT + 1])
def test_an_unfinished_run_of_another_format_is_looked_at_but_not_continued(tmp_path: Path, number: int | None) -> None:
    run = begun(tmp_path / "run", MODALITIES, number)
    finish(run, {"image": ["shapes/name"]})
    run.stage(2).write_state(StageState("failed", 1, "no space", failures=1))
    assert [row["status"] for row in status_rows(run)] == ["done", "failed"]
    assert len(collect(run).stages) == 1
    refused = REFUSED.format(number or 1)
    with pytest.raises(UserError, match=refused):
        open_or_plan(run.path, MODALITIES)
    with pytest.raises(UserError, match=refused):
        reopen(run, 2)
    with pytest.raises(UserError, match=refused):
        worker._work(run, run.stage(2), None, 0, StopSignals())
    assert run.stage(2).state.status == "failed"


def test_a_batch_job_does_not_go_on_with_it(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", MODALITIES, None)
    arguments = ["--run", str(run.path), "--stage", "1", "--nodes", "1", "--processes", "1"]
    command = [sys.executable, "-m", "dist_mcl.coordinator.batch", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and "another version of dist-mcl began this run" in ended.stderr


def test_a_finished_run_is_never_refused(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", MODALITIES, None)
    finish(run, {"image": ["shapes/name"]}, {"image": ["shapes/name"], "depth": ["fusion_depth/qa"]})
    assert open_or_plan(run.path, MODALITIES).plan == run.plan
    assert outcome(run).results["T"] == 0.5


def test_runs_over_classes_have_stayed_as_they_were(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", CLASSES, None)
    assert open_or_plan(run.path, CLASSES).plan == run.plan
    newer = begun(tmp_path / "newer", CLASSES, FORMAT + 1)
    with pytest.raises(UserError, match=REFUSED.format(FORMAT + 1)):
        open_or_plan(newer.path, CLASSES)


@pytest.mark.parametrize("look", [collect, outcome])
def test_a_run_that_went_on_with_other_tasks_gets_one_clear_line(tmp_path: Path, look: Any) -> None:
    run = begun(tmp_path / "run", MODALITIES, None)
    finish(run, {"image": ["llava/qa"]}, {"image": ["llava/conversation"], "depth": ["shapes/name"]})
    with pytest.raises(
        UserError, match=r"^[^\n]*scored by different versions of dist-mcl \(after depth, image has [^\n]*$"
    ):
        look(run)

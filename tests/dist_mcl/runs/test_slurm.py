"""A run on a real Slurm: every kind of interruption, and then the result of an undisturbed run."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dist_mcl.cli import app
from dist_mcl.files import read_json
from dist_mcl.run_folder import RunFolder, StageFolder, read_progress
from stage_launchers.queue import ask_to_stop, cancel, query, requeue
from tests.stage_launchers.conftest import Cluster, cluster, login, state  # noqa: F401 - fixtures

from .conftest import TEST_CLUSTER, mcl, result, run_command, submit

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def is_training(stage: StageFolder, attempt: int) -> bool:
    progress = read_progress(stage.attempt(attempt) / "progress.json")
    return progress is not None and progress.step == "train" and progress.done > 1


def step_saved(stage: StageFolder, attempt: int) -> int:
    """The optimiser step after which an attempt saved and ended as it was asked to."""
    yielded = read_json(stage.attempt(attempt) / "yielded.json")
    assert yielded is not None and yielded["saved"]
    return int(yielded["step"])


def continues(stage: StageFolder, attempt: int, login: Cluster, folder: Path) -> bool:  # noqa: F811
    """Whether an attempt, once it trains, goes on from where the one before saved."""
    login.wait_for(lambda: is_training(stage, attempt), folder)
    progress = read_progress(stage.attempt(attempt) / "progress.json")
    return progress is not None and progress.done > step_saved(stage, attempt - 1)


def bring_time_limit_near(login: Cluster, job: int) -> None:  # noqa: F811
    """So near that Slurm, which looks every half a minute, announces it at its next look or the one after."""
    ran = datetime.now() - datetime.fromisoformat(state(job).start)
    minutes = int(ran.total_seconds() + 40) // 60 + 1
    login.run("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")


def submit_by_hand(login: Cluster, *arguments: str) -> int:  # noqa: F811
    return int(login.run("sbatch", "--parsable", *arguments))


def test_a_chain_survives_all_interruptions(login: Cluster, tmp_path: Path) -> None:  # noqa: F811
    whole, folder = tmp_path / "whole", tmp_path / "run"
    # Long enough to be interrupted in the middle.
    longer = {"training__epochs": "4", "training__checkpoint__every_steps": "2"}
    # Slurm lets the chain wait so much that the other run takes no time beside it.
    with subprocess.Popen(run_command(whole, **longer), stdout=subprocess.DEVNULL) as undisturbed:
        done = submit(folder, **longer)
        assert done.returncode == 0, done.stderr
        interrupt_each_stage(login, folder)
        stages = RunFolder.open(folder).stages()
        login.wait_for(lambda: all(stage.is_done() for stage in stages), folder)
        assert undisturbed.wait() == 0
    assert result(folder) == result(whole)
    attempts = [stage.state.attempt for stage in stages]
    # A job that begins again so soon may be ended once more, for the start that lost its node: it saves, and goes on.
    assert attempts[:2] == [2, 2] and attempts[2] in (2, 3)
    # Of two that put a job back, the script and whoever asked Slurm for it, the second has nothing to complain of.
    assert not any("requeue failed" in log.read_text() for log in (folder / "slurm").glob("*.log"))


def interrupt_each_stage(login: Cluster, folder: Path) -> None:  # noqa: F811
    """The first by USR1, the second by a requeue, the third by the loss of a node."""
    stages = RunFolder.open(folder).stages()
    jobs = [int(str(stage.state.job)) for stage in stages]
    login.wait_for(lambda: is_training(stages[0], 1), folder)
    ask_to_stop(jobs[0])
    login.start_again_now(jobs[0], folder)
    login.wait_for(lambda: is_training(stages[1], 1), folder)
    requeue(jobs[1])
    login.start_again_now(jobs[1], folder)
    login.wait_for(lambda: is_training(stages[2], 1), folder)
    login.control("kill-node", "2")
    try:
        login.wait_until_put_back(jobs[2], folder)
    finally:
        login.control("start-node", "2")
    login.start_again_now(jobs[2], folder)


def test_time_limit_pre_emption_and_a_start_before_its_time(login: Cluster, tmp_path: Path) -> None:  # noqa: F811
    folder, profile = tmp_path / "run", tmp_path / "low.yaml"
    profile.write_text(TEST_CLUSTER.read_text().replace("partition: main", "partition: low"))
    done = submit(folder, "--cluster", str(profile), scenario__stages="2", training__epochs="2000")
    assert done.returncode == 0, done.stderr
    stages = RunFolder.open(folder).stages()
    jobs = [int(str(stage.state.job)) for stage in stages]

    login.wait_for(lambda: is_training(stages[0], 1), folder)
    bring_time_limit_near(login, jobs[0])
    early = submit_by_hand(login, str(folder / "slurm" / "stage-02.sbatch"))  # without the dependency
    login.wait_until_put_back(jobs[0], folder)
    login.wait_until_put_back(early, folder)
    assert "stage 2 waits for stages [1]\nnot ready" in (folder / "slurm" / "stage-02.log").read_text()
    assert not (stages[1].path / "attempts").exists()
    login.run("scontrol", "update", f"JobId={jobs[0]}", "TimeLimit=30")
    login.start_again_now(jobs[0], folder)
    assert continues(stages[0], 2, login, folder)

    submit_by_hand(login, "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true")
    login.start_again_now(jobs[0], folder)
    assert continues(stages[0], 3, login, folder)
    assert (state(jobs[1]).state, state(jobs[1]).reason) == ("PENDING", "Dependency")
    cancel([*jobs, early])


def test_what_would_wait_for_ever_is_refused(login: Cluster, tmp_path: Path) -> None:  # noqa: F811
    profile = tmp_path / "three.yaml"
    profile.write_text("nodes: 3")
    done = submit(tmp_path / "run", "--cluster", str(profile))
    assert done.returncode == 2, done.stderr
    assert done.stderr == "mcl: cluster profile: stage 1: nodes: 3 are more than the 2 of partition main\n"
    assert not (tmp_path / "run").exists()


def test_a_failing_stage_stops_those_after_it_and_status_says_why(login: Cluster, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "run"
    done = submit(folder, training__learning_rate="1e30", training__gradient_clipping="1e30")
    assert done.returncode == 0, done.stderr
    jobs = [int(str(stage.state.job)) for stage in RunFolder.open(folder).stages()]
    login.wait_for(lambda: all(query([job])[job].is_over for job in jobs), folder)
    status = subprocess.run(mcl("status", folder, "--json"), capture_output=True, text=True, check=True)
    rows = json.loads(status.stdout)
    assert [row["status"] for row in rows] == ["failed", "dropped", "dropped"]
    assert "lower training.learning_rate" in rows[0]["reason"]
    assert "cancelled" in rows[1]["job"]


def test_a_cancelled_run_saves_and_can_be_submitted_again(login: Cluster, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "run"
    # With enough epochs to be still in training when the wish arrives.
    longer = {"training__epochs": "90", "scenario__stages": "2", "data__max_per_class": "3"}
    assert submit(folder, **longer).returncode == 0
    stages = RunFolder.open(folder).stages()
    login.wait_for(lambda: is_training(stages[0], 1), folder)
    assert CliRunner().invoke(app, ["cancel", str(folder)]).exit_code == 0  # a new process would take seconds to start
    jobs = [int(str(stage.state.job)) for stage in stages]
    login.wait_for(lambda: all(query([job])[job].is_over for job in jobs), folder)
    assert [stage.state.status for stage in stages] == ["cancelled"] * 2
    again = submit(folder, **longer)
    assert again.returncode == 0, again.stderr
    assert continues(stages[0], 2, login, folder)
    login.wait_for(stages[0].is_done, folder)
    login.wait_for(lambda: stages[1].state.status == "running", folder)
    assert stages[0].state.job != str(jobs[0])
    cancel([int(str(stages[1].state.job))])

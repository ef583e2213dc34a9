"""Chains of batch scripts on a real Slurm: requeue, signals, time limit, a lost node."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stage_launchers import LauncherError
from stage_launchers.batch import BatchJob, render
from stage_launchers.profile import Profile
from stage_launchers.queue import ask_to_stop, cancel, query, requeue, submit, submit_chain
from tests.stage_launchers.conftest import Cluster, state

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

PROGRAM = Path(__file__).with_name("slurm_stage.py")
QUICK = Profile(signal_seconds=10, time="5")
BOTH_NODES = Profile(signal_seconds=10, time="5", nodes=2)


def script(folder: Path, name: str, *codes: int, profile: Profile = QUICK) -> Path:
    """The batch script of a stage in a folder of its own, which gives these exit codes one after the other."""
    stage = folder / name
    stage.mkdir()
    argv = (sys.executable, str(PROGRAM), str(stage), *map(str, codes))
    path = stage / "stage.sbatch"
    path.write_text(render(BatchJob(name, name, argv, Path.cwd(), path, stage / "batch.log"), profile))
    return path


def starts(path: Path) -> int:
    """How often the script was started."""
    return len((path.parent / "starts").read_text().split())


def test_a_chain_runs_in_order_and_waits_for_a_job_that_was_put_back(login: Cluster, tmp_path: Path) -> None:
    first, second, third = (
        script(tmp_path, name, *codes) for name, codes in zip("abc", ((0,), (85, 0), (0,)), strict=True)
    )
    jobs = submit_chain([first, second, third])
    login.start_again_now(jobs[1], tmp_path)
    assert state(jobs[0]).state == "COMPLETED"
    assert (state(jobs[2]).state, state(jobs[2]).reason) == ("PENDING", "Dependency")
    login.wait_for(lambda: state(jobs[2]).is_over, tmp_path)
    assert [state(job).state for job in jobs] == ["COMPLETED"] * 3
    assert [starts(path) for path in (first, second, third)] == [1, 2, 1]
    assert not query([999_999])


def test_a_failing_job_stops_those_after_it(login: Cluster, tmp_path: Path) -> None:
    scripts = [script(tmp_path, name, code) for name, code in zip("abc", (0, 1, 0), strict=True)]
    jobs = submit_chain(scripts)
    login.wait_for(lambda: all(state(job).is_over for job in jobs), tmp_path)
    assert [state(job).state for job in jobs] == ["COMPLETED", "FAILED", "CANCELLED"]
    assert not (scripts[2].parent / "starts").exists()


def test_a_job_goes_back_no_more_often_than_the_profile_allows(login: Cluster, tmp_path: Path) -> None:
    path = script(tmp_path, "a", 85, profile=Profile(signal_seconds=10, time="5", max_requeues=0))
    job = submit(path)
    login.wait_for(lambda: state(job).is_over, tmp_path)
    assert state(job).state == "FAILED"
    assert "the limit of the profile" in (path.parent / "batch.log").read_text()


def test_all_of_a_chain_is_refused_or_nothing(login: Cluster, tmp_path: Path) -> None:
    scripts = [script(tmp_path, "a", 0), script(tmp_path, "b", 0, profile=Profile(partition="nowhere"))]
    with pytest.raises(LauncherError, match="invalid partition"):
        submit_chain(scripts)
    login.wait_for(lambda: not login.run("squeue", "--noheader"), tmp_path)
    assert not (scripts[0].parent / "starts").exists()


@pytest.mark.parametrize("how", [ask_to_stop, requeue], ids=["USR1", "requeue"])
def test_a_running_stage_saves_and_continues(login: Cluster, tmp_path: Path, how: Callable[[int], None]) -> None:
    path = script(tmp_path, "a", profile=BOTH_NODES)
    job = submit(path)
    login.wait_for(lambda: (path.parent / "running-1").exists(), tmp_path)
    how(job)
    login.start_again_now(job, tmp_path)
    login.wait_for(lambda: state(job).is_over, tmp_path)
    assert state(job).state == "COMPLETED"
    assert starts(path) == 2
    assert all((path.parent / f"saved-{rank}").exists() for rank in (0, 1))


def test_the_time_limit_is_announced_and_the_stage_continues(login: Cluster, tmp_path: Path) -> None:
    path = script(tmp_path, "a", profile=Profile(signal_seconds=20, time="1", nodes=2))
    job = submit(path)
    login.start_again_now(job, tmp_path)
    login.wait_for(lambda: state(job).is_over, tmp_path)
    assert state(job).state == "COMPLETED"
    assert float((path.parent / "saved-0").read_text()) < 60


def test_a_pre_empted_stage_saves_and_continues(login: Cluster, tmp_path: Path) -> None:
    whole_nodes = {"signal_seconds": 10, "time": "5", "nodes": 2, "sbatch": ("--exclusive",)}
    path = script(tmp_path, "a", profile=Profile(partition="low", **whole_nodes))
    job = submit(path)
    login.wait_for(lambda: (path.parent / "running-1").exists(), tmp_path)
    urgent = submit(script(tmp_path, "b", 0, profile=Profile(partition="high", **whole_nodes)))
    login.start_again_now(job, tmp_path)
    login.wait_for(lambda: state(job).is_over, tmp_path)
    assert [state(each).state for each in (urgent, job)] == ["COMPLETED", "COMPLETED"]
    assert starts(path) == 2
    assert all((path.parent / f"saved-{rank}").exists() for rank in (0, 1))


def test_a_lost_node_puts_the_job_back(login: Cluster, tmp_path: Path) -> None:
    path = script(tmp_path, "a", profile=BOTH_NODES)
    job = submit(path)
    login.wait_for(lambda: (path.parent / "running-1").exists(), tmp_path)
    login.control("kill-node", "2")
    try:
        login.wait_until_put_back(job, tmp_path)
    finally:
        login.control("start-node", "2")
    (path.parent / "finish").touch()
    login.start_again_now(job, tmp_path)
    login.wait_for(lambda: state(job).is_over, tmp_path)
    assert state(job).state == "COMPLETED"
    assert starts(path) == 2


def test_cancelled_jobs_leave_nothing_running(login: Cluster, tmp_path: Path) -> None:
    path = script(tmp_path, "a", profile=BOTH_NODES)
    jobs = submit_chain([path, script(tmp_path, "b", 0)])
    login.wait_for(lambda: (path.parent / "running-1").exists(), tmp_path)
    cancel(jobs)
    login.wait_for(lambda: all(state(job).state == "CANCELLED" for job in jobs), tmp_path)
    login.wait_for(lambda: not login.run("squeue", "--noheader"), tmp_path)

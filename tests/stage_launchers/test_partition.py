"""What a cluster's partitions would do with a profile's jobs is said before anything is submitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stage_launchers.partition import Partition, partitions, read_partitions, refusal, seconds, warnings
from stage_launchers.profile import Profile
from stage_launchers.queue import cancel, submit
from tests.stage_launchers.conftest import Cluster, state

# As Slurm 22.05 prints them, without fields that nothing here looks at.
RECORDED = """\
PartitionName=main AllowGroups=ALL Default=YES QoS=N/A DefaultTime=NONE GraceTime=0 Hidden=NO MaxNodes=UNLIMITED \
MaxTime=UNLIMITED MinNodes=0 Nodes=n[1-2] OverTimeLimit=NONE PreemptMode=OFF State=UP TotalCPUs=8 TotalNodes=2
PartitionName=gpu AllowGroups=ALL Default=NO QoS=N/A DefaultTime=01:00:00 GraceTime=120 Hidden=NO MaxNodes=4 \
MaxTime=1-12:00:00 MinNodes=0 Nodes=g[01-16] OverTimeLimit=NONE PreemptMode=GANG,REQUEUE State=DRAIN TotalNodes=16
"""
MAIN, GPU = read_partitions(RECORDED)


def test_what_is_read() -> None:
    assert Partition("main", True, "UP", None, 2, "OFF", 0) == MAIN
    assert Partition("gpu", False, "DRAIN", 36 * 3600, 4, "GANG,REQUEUE", 120) == GPU


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("4:00:00", 14_400),
        ("2-1", 49 * 3600),
        ("2-1:30", 49 * 3600 + 1800),
        ("1-00:00:05", 86_405),
        ("UNLIMITED", None),
        ("NONE", None),
    ],
)
def test_times(time: str, expected: int | None) -> None:
    assert seconds(time) == expected


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (Profile(partition="gpu", time="1-12:00:00", nodes=4), None),
        (Profile(partition="gpu", time="36:00:01"), "time: 36:00:01 is more than the 2160 min of partition gpu"),
        (Profile(partition="gpu", nodes=5), "nodes: 5 are more than the 4 of partition gpu"),
        (Profile(time="100-0"), None),
        (Profile(nodes=3), "nodes: 3 are more than the 2 of partition main"),
        (Profile(partition="gpu,main", nodes=3), None),  # Slurm chooses one of them
        (Profile(partition="nowhere"), None),  # sbatch says that
    ],
)
def test_what_would_wait_for_ever(profile: Profile, reason: str | None) -> None:
    assert refusal(profile, [MAIN, GPU]) == reason


def test_what_a_job_should_be_prepared_for() -> None:
    on_gpu = Profile(partition="gpu")
    up = replace(GPU, state="UP")
    assert warnings(on_gpu, [MAIN, up]) == []
    assert warnings(on_gpu, [MAIN, GPU]) == ["partition gpu is DRAIN: its jobs wait until it is up"]
    (line,) = warnings(on_gpu, [replace(up, grace_seconds=0)])
    assert line.startswith("partition gpu has no grace time")
    (line,) = warnings(on_gpu, [replace(up, preempt_mode="CANCEL")])
    assert line.startswith("partition gpu cancels a job that gives way")
    (line,) = warnings(Profile(time="5", signal_seconds=240), [MAIN])
    assert line.startswith("signal_seconds: 240 s before the end")
    assert warnings(Profile(time="6", signal_seconds=240), [MAIN]) == []


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
def test_slurm_itself_lets_it_wait(login: Cluster, tmp_path: Path) -> None:
    login.run("scontrol", "update", "PartitionName=low", "MaxTime=10")
    try:
        known = partitions()
        assert {one.name: one.max_time for one in known} == {"main": None, "low": 600, "high": None}
        assert refusal(Profile(partition="low", time="11"), known) is not None
        script = tmp_path / "job.sbatch"
        script.write_text("#!/bin/bash\n#SBATCH --partition=low --time=11 --output=/dev/null\ntrue\n")
        job = submit(script)
        login.wait_for(lambda: (state(job).state, state(job).reason) == ("PENDING", "PartitionTimeLimit"), tmp_path)
        cancel([job])
    finally:
        login.run("scontrol", "update", "PartitionName=low", "MaxTime=UNLIMITED")

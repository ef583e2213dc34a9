"""Cluster profiles and the batch scripts made from them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stage_launchers import LauncherError
from stage_launchers.batch import BatchJob, render, templates
from stage_launchers.profile import Profile, load_profile


def script_of(folder: Path, profile: Profile) -> str:
    argv = ("python", "-m", "program", "--run", "runs/it's mine")
    job = BatchJob("mcl-02", "Stage 2 of run mine", argv, folder, folder / "stage.sbatch", folder / "100%.log")
    return render(job, profile)


def test_a_script_has_what_the_profile_asks_for_and_nothing_else(tmp_path: Path) -> None:
    profile = Profile(partition="gpu", gpus_per_node=8, nodes=2, time="2-00:00:00", modules=("cuda", "gcc"))
    text = script_of(tmp_path, profile)
    lines = text.splitlines()
    for line in (
        "#SBATCH --partition=gpu",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=8",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --time=2-00:00:00",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR1@300",
        f"#SBATCH --output={tmp_path}/100%%.log",
        f"#SBATCH --chdir={tmp_path}",
        "module load cuda gcc",
        "python -m program --run 'runs/it'\"'\"'s mine'",
    ):
        assert line in lines, text
    assert "account" not in text and "None" not in text
    assert "\n\n\n" not in text


def test_a_script_is_valid_bash(tmp_path: Path) -> None:
    profile = Profile(setup=("source it",), container=("apptainer", "exec", "a b.sif"), srun=("--mpi=none",))
    subprocess.run(["bash", "-n"], input=script_of(tmp_path, profile), text=True, check=True)


def test_a_bigger_stage_takes_more_nodes(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("gpus_per_node: 8\ntime: '1:00:00'\nstages:\n  3: {nodes: 4, time: '8:00:00'}\n")
    profile = load_profile(path)
    assert (profile.for_stage(2).nodes, profile.for_stage(2).time) == (1, "1:00:00")
    assert (profile.for_stage(3).nodes, profile.for_stage(3).time, profile.for_stage(3).tasks) == (4, "8:00:00", 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("partitions: gpu", "partitions: Extra inputs"),
        ("nodes: 0", "nodes: Input should be greater than 0; got 0"),
        ("time: 1:00:00", "time: "),
        ("time: soon", "time: .*not a time limit"),
        ("stages: {2: {node: 4}}", "node"),
        ("account: 'a\n\n  b'", "must be one line"),
        ("- gpu", "is not a list of `field: value`"),
        ("nodes: [", "while parsing"),
    ],
)
def test_a_mistake_in_a_profile_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(LauncherError, match=message) as error:
        load_profile(path)
    assert "\n" not in str(error.value)


def test_the_shipped_profiles_are_valid() -> None:
    profiles = sorted((templates() / "profiles").glob("*.yaml"))
    assert profiles
    for path in profiles:
        load_profile(path)

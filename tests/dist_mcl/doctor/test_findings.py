"""What `mcl doctor` says about machines that are not this one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dist_mcl.config import Experiment, Launcher, Training, defaults, load
from dist_mcl.doctor import machine, mpi, packages
from dist_mcl.doctor.data import data
from dist_mcl.doctor.finding import Finding
from dist_mcl.doctor.folder import folder
from dist_mcl.doctor.models import adapter, models
from dist_mcl.doctor.slurm import slurm
from tests.stage_launchers.test_partition import RECORDED

CONFIGS = Path(__file__).parents[3] / "configs"
SAMPLE = Path(__file__).parents[2] / "data"
FETCH = "run `mcl models fetch"


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_versions_are_compared_with_those_of_the_tests() -> None:
    tested = packages.tested_versions()
    assert tested["pyyaml"] and "torch" in tested
    same = packages._compared({"torch": f"{tested['torch'].split('+')[0]}+cu130"}, tested)
    assert same.state == "fine"
    other = packages._compared({"torch": "1.0", "PyYAML": tested["pyyaml"]}, tested)
    assert (other.state, other.says) == (
        "note",
        f"2; in another version than in the tests: torch 1.0 ({tested['torch']})",
    )


def test_a_package_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch>=99", "no-such-package>=1", "numpy>=1", "pytest>=99; extra == 'dev'"]
    monkeypatch.setattr(packages, "requires", lambda name: wanted)
    found = [finding for finding in packages.packages() if finding.state == "missing"]
    assert [finding.says.split()[0] for finding in found] == ["torch", "no-such-package"]
    assert [finding.todo for finding in found] == ["pip install 'torch>=99'", "pip install 'no-such-package>=1'"]


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("quickstart", [f"{FETCH} all-minilm-l6-v2`"]),
        (
            "mcl_five_modalities",
            [f"{FETCH} {one}`" for one in ("smollm2-135m-instruct", "efficientnet-lite0", "whisper-tiny.en")],
        ),
        ("pathweave_instructblip", ["name a checkpoint, or choose layout: tiny to try out"]),
    ],
)
def test_the_models_that_an_experiment_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, needed: list[str]
) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    todo = [finding.todo for finding in models(load(CONFIGS / f"{name}.yaml")) if finding.state == "missing"]
    assert todo == needed


def five(folder: Path, *overrides: str) -> Experiment:
    """The five modalities without a file of a model; shapes and notes lie in the folder."""
    stages = [
        f"{{modality: {modality}, data: {{dataset: {name}, folder: {folder / name}, max_questions: 2}}}}"
        for modality, name in {"image": "shapes", "audio": "notes"}.items()
    ]
    tiny = ["model.backbone={kind: causal-tiny}", f"scenario.stages=[{', '.join(stages)}]"]
    return load(CONFIGS / "mcl_five_modalities.yaml", [*tiny, *overrides])


def test_data_of_every_stage_are_looked_for(tmp_path: Path) -> None:
    image, audio = data(five(SAMPLE))
    assert (image.state, image.says) == ("fine", "stage 1, image: 4 questions to learn from, 4 to test on")
    assert audio.state == "fine" and audio.says.startswith("stage 2, audio: ")
    (tmp_path / "notes").symlink_to(SAMPLE / "notes")
    image, audio = data(five(tmp_path))
    assert image.state == "missing" and "shapes/questions.parquet: no such data file" in image.says
    assert str(image.todo).startswith("make it with `mcl data prepare") and audio.state == "fine"


def test_data_of_classes_are_looked_for(tmp_path: Path) -> None:
    (found,) = data(defaults([f"data={{dataset: food101, folder: {tmp_path}}}"]))
    assert found.state == "missing" and str(tmp_path) in found.says


def test_an_adapter_that_finds_no_place_in_the_backbone() -> None:
    (wrong,) = adapter(five(SAMPLE))
    assert wrong.state == "missing" and "count says 60" in f"{wrong.says}{wrong.todo}"
    sites = "model.adapter.sites=[{role: decoder, suffixes: [q_proj, v_proj], count: 4}]"
    (right,) = adapter(five(SAMPLE, sites))
    assert right.state == "fine"
    missing_model = "model.backbone={kind: causal, path: nobody/nothing}"
    assert list(adapter(five(SAMPLE, missing_model))) == []


def test_what_a_processor_is_enough_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine.Path, "exists", lambda path: False)
    (finding,) = machine.gpus(Launcher())
    assert "language models of some hundred million parameters" in finding.says


def test_more_threads_than_cores_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    (finding,) = machine.processors(Launcher(processes=2))
    assert finding.state == "note" and "2 processes of 1 thread each are more than the cores" in finding.says
    (finding,) = machine.processors(Launcher(processes=1))
    assert finding.state == "fine"


def test_bf16_is_slow_without_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for flags, states in (({"sse"}, ["note"]), ({"amx_bf16"}, [])):
        monkeypatch.setattr(machine, "_processor_flags", lambda flags=flags: flags)
        assert [finding.state for finding in machine.precision(Training(precision="bf16"))] == states
    assert list(machine.precision(Training())) == []


def test_a_lock_that_deepspeed_would_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert len(list(machine.compiler())) == 1
    (tmp_path / "fused_adam").mkdir()
    (tmp_path / "fused_adam" / "lock").touch()
    assert [finding.todo for finding in machine.compiler()][1] == f"remove it: rm {tmp_path}/fused_adam/lock"


@pytest.mark.parametrize(
    ("says", "library", "state", "fits"),
    [
        ("mpirun (Open MPI) 4.1.4", "Open MPI v4.1.4", "fine", "mpi4py loads Open MPI v4.1.4"),
        ("mpirun (Open MPI) 4.1.4", "MPICH Version: 4.0.2", "missing", "each process would believe to be alone"),
        ("HYDRA build details:", "no library", "fine", "needs no mpi4py"),
        ("sesame", "no library", "missing", "neither Open MPI nor MPICH"),
    ],
)
def test_which_mpirun_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, library: str, state: str, fits: str
) -> None:
    program(tmp_path, "mpirun", f"echo '{says}'")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mpi, "_library", lambda: library)
    (finding,) = mpi.mpi(Launcher(kind="mpi"))
    assert finding.state == state and fits in finding.says
    if state == "missing":
        (finding,) = mpi.mpi(Launcher())  # which does not need it
        assert finding.state == "note"


def slurm_of(folder: Path, scontrol: str, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    for name in ("sbatch", "squeue", "scancel", "srun"):
        program(folder, name, "exit 1")
    program(folder, "scontrol", scontrol)
    program(folder, "munge", "echo 'Failed to connect' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{folder}:{Path(str(shutil.which('cat'))).parent}")
    return list(slurm(Launcher()))


def test_what_partitions_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recorded").write_text(RECORDED)
    answers, main, gpu = slurm_of(tmp_path, f"cat {tmp_path}/recorded", monkeypatch)
    assert answers.says == "answers, and has 2 partitions"
    assert (main.state, main.says) == ("fine", "partition main, the default: 2 nodes for a job, no time limit")
    assert gpu.state == "note"
    assert gpu.says == (
        "partition gpu: 4 nodes for a job, at most 36 h 00 min; partition gpu is DRAIN: its jobs wait until it is up"
    )


def test_a_slurm_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = slurm_of(tmp_path, "echo 'Unable to contact slurm controller' >&2; exit 1", monkeypatch)
    assert (finding.state, finding.says) == ("note", "does not answer: scontrol: Unable to contact slurm controller")
    assert finding.todo == "start munged: Failed to connect"


def test_a_filesystem_without_links_or_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("fcntl.flock", refuse)
    found = [finding.says for finding in folder(tmp_path, is_shared=False) if finding.state == "missing"]
    assert [says.removeprefix(f"{tmp_path}: its filesystem has no ") for says in found] == [
        "hard links, which a run needs",
        "locks, which a run needs",
    ]


def test_a_folder_that_cannot_be_written() -> None:
    (finding,) = folder(Path("/proc/runs"), is_shared=False)
    assert finding.state == "missing" and finding.says.startswith("/proc: cannot be written")


def test_nodes_must_share_the_folder() -> None:
    says = [finding.says for finding in folder(Path("/dev/shm"), is_shared=True) if finding.state == "note"]
    assert any("is in memory (tmpfs)" in line for line in says)
    assert any("the nodes of a run must share its folder" in line for line in says)

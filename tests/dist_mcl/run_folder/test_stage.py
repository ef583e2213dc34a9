"""A stage is done when its manifest verifies, and not before."""

from pathlib import Path

import pytest

from dist_mcl.files import read_json, write_json
from dist_mcl.run_folder import STEPS, StageFolder, StageState


@pytest.fixture
def finished(tmp_path: Path) -> StageFolder:
    folder = StageFolder(tmp_path / "01", 1)
    folder.write_state(StageState("running", attempt=1))
    built = folder.attempt(1) / "adapter"
    built.mkdir(parents=True)
    (built / "adapter_model.safetensors").write_bytes(b"weights")
    folder.publish_adapter(built)
    for step in STEPS:
        folder.finish(step, {"step": step})
    return folder


def test_only_the_manifest_makes_a_stage_done(finished: StageFolder) -> None:
    assert not finished.is_done()
    finished.seal()
    assert finished.is_done()


@pytest.mark.parametrize("name", ["train.json", "metrics.json", "adapter/adapter_model.safetensors"])
def test_a_changed_or_missing_result_is_not_done(finished: StageFolder, name: str) -> None:
    finished.seal()
    (finished.path / name).write_bytes(b"changed")
    assert not finished.is_done()
    (finished.path / name).unlink()
    assert not finished.is_done()


def test_a_manifest_cannot_vouch_for_files_outside(finished: StageFolder, tmp_path: Path) -> None:
    finished.seal()
    manifest = read_json(finished.path / "MANIFEST.json")
    outside = tmp_path / "outside"
    outside.write_bytes(b"weights")
    manifest["sha256"]["../outside"] = manifest["sha256"]["adapter/adapter_model.safetensors"]
    write_json(finished.path / "MANIFEST.json", manifest)
    assert not finished.is_done()


def test_an_adapter_left_by_an_earlier_attempt_is_replaced(finished: StageFolder) -> None:
    built = finished.attempt(2) / "adapter"
    built.mkdir(parents=True)
    (built / "adapter_model.safetensors").write_bytes(b"better")
    finished.publish_adapter(built)
    assert (finished.adapter / "adapter_model.safetensors").read_bytes() == b"better"


def test_the_state_survives_a_round_trip(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "01", 1)
    assert folder.state == StageState()
    folder.write_state(StageState("failed", 2, "no space", 3.5))
    assert folder.state == StageState("failed", 2, "no space", 3.5)

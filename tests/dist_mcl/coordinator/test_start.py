"""Where a run lies when nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl import config
from dist_mcl.coordinator.start import default_folder, open_or_plan
from dist_mcl.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "small"),
        (["seed=1"], "small-seed=1"),
        (["seed=1", "model.adapter.kind=lora"], "small-model.adapter.kind=lora-seed=1"),
        (["launcher.processes=1", "name=other"], "other"),
        (["training.checkpoint={every_steps: 2}", "training.checkpoint.keep=1", "training.step_timeout=9"], "small"),
        (["model.adapter={kind: lora, rank: 4}"], "small-model.adapter=_kind__lora__rank__4_"),
    ],
)
def test_overrides_are_part_of_the_name_unless_they_do_not_change_the_result(
    tmp_path: Path, overrides: list[str], name: str
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("name: small\n")
    assert default_folder(config.load(file, overrides), overrides) == Path("runs") / name


def test_a_layout_without_weights_is_no_run_and_nothing_is_written(tmp_path: Path) -> None:
    experiment = config.load(Path(__file__).parents[3] / "configs" / "pathweave_instructblip.yaml")
    with pytest.raises(UserError, match=r"model\.backbone\.path: missing, .* name a checkpoint"):
        open_or_plan(tmp_path / "run", experiment)
    assert not (tmp_path / "run").exists()

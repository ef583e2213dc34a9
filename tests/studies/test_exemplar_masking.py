"""The study's runs are those of `mcl run`, and its page is what its results say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dist_mcl.coordinator.schedule import make_attempt
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.run_folder import RunFolder
from stage_launchers import LocalLauncher
from studies.cells import results
from studies.exemplar_masking.__main__ import STUDY
from studies.exemplar_masking.cell import run_cell
from studies.exemplar_masking.grid import Cell, cells
from studies.exemplar_masking.page import write_page

TINY = ["model.backbone=tiny", "training.epochs=1", "training.precision=fp32"]


class TinyCell(Cell):
    """A run that takes seconds."""

    @property
    def overrides(self) -> list[str]:
        return [*super().overrides, *TINY]


def test_every_run_is_a_valid_experiment_of_its_own() -> None:
    for scale in ("full", "small"):
        wanted = cells(scale)
        assert len({cell.name for cell in wanted}) == len(wanted)
        assert len({json.dumps(cell.experiment.result_fields(), sort_keys=True) for cell in wanted}) == len(wanted)


def test_all_seeds_see_the_same_pictures_and_words_and_classes_in_the_same_order() -> None:
    for cell in (*cells("full"), *cells("small")):
        fixed = cell.experiment
        assert (fixed.data.scene_seed, fixed.scenario.class_seed) == (0, 1993)  # type: ignore[union-attr]


def test_random_is_ours_but_for_the_order_of_patches() -> None:
    ours, drawn = (Cell("photo", 5, method, 96, 0, 30).experiment.result_fields() for method in ("compact", "random"))
    assert drawn["exemplars"]["masker"].pop("order") == "random"
    assert ours["exemplars"]["masker"].pop("order") == "attention"
    assert ours == drawn


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return run_cell(TinyCell("photo", 2, "compact", 40, 0, 4))


def test_a_cell_is_what_mcl_run_makes_of_it(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = open_or_begin(tmp_path / "run", TinyCell("photo", 2, "compact", 40, 0, 4).experiment)
    for stage in run.stages():
        assert make_attempt(run, stage, LocalLauncher(), lambda *_: None).status == "done"
    accuracy = [stage.record("evaluate")["accuracy"] for stage in RunFolder.open(run.path).stages()]  # type: ignore[index]
    assert tiny["accuracy"] == accuracy
    assert tiny["store_bytes"] <= 40 * 1024


def test_a_cell_knows_its_masks_against_the_outlines(tiny: dict[str, Any]) -> None:
    assert set(tiny["outline"]) == {"kept", "recall", "background_bytes"}
    assert 0 < tiny["outline"]["kept"] < 1
    assert 0 <= tiny["masked_test"] <= 1


def test_the_page_is_made_of_the_results_that_lie_beside_it(tmp_path: Path) -> None:
    wanted = cells("full")
    page = write_page(results(wanted, STUDY.results_folder("full")), wanted, tmp_path)
    assert page.read_text() == (STUDY.page_folder("full") / page.name).read_text()


def test_the_page_can_be_written_before_all_has_run(tmp_path: Path) -> None:
    page = write_page({}, cells("small"), tmp_path)
    assert "not run yet" in page.read_text()

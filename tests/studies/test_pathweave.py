"""The study's runs are those of `mcl run`, and its page is what its results say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mode
from typing import Any

import pyarrow.parquet as pq
import pytest

from dist_mcl.coordinator.schedule import make_attempt
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.report import modality_scores
from dist_mcl.run_folder import RunFolder
from dist_mcl.scenario.questions.stages import modality_stages
from stage_launchers import LocalLauncher
from studies.pathweave.__main__ import STUDY
from studies.pathweave.cell import run_cell, unchanged
from studies.pathweave.grid import DECISIVE, FEW, METHODS, ON_ALL_TESTS, Cell, cells, stage_names
from studies.pathweave.page import write_page

DATA = Path(__file__).parents[1] / "data"


class TinyCell(Cell):
    """A run of two modalities that takes seconds."""

    @property
    def overrides(self) -> list[str]:
        encoder = "{kind: efficientnet-lite0, side: 32, cells: 2}"
        stages = (
            f"{{modality: {name}, tokens: {{kind: {name}, side: 32}}, encoder: {encoder}, "
            f"data: {{dataset: shapes, folder: '{DATA / 'shapes'}', max_questions: 4, max_test_questions: 3}}}}"
            for name in ("image", "depth")
        )
        return [
            f"scenario.stages=[{', '.join(stages)}]",
            "model.backbone=causal-tiny",
            "model.adapter.sites=[{role: connector, suffixes: [linear_1, linear_2], count: 2}]",
            "training.epochs=1",
            "training.precision=fp32",
            f"seed={self.seed}",
        ]


def test_every_run_is_a_valid_experiment_of_its_own() -> None:
    for scale in ("full", "small"):
        wanted = cells(scale)
        assert len({cell.name for cell in wanted}) == len(wanted)
        assert len({json.dumps(cell.experiment.result_fields(), sort_keys=True) for cell in wanted}) == len(wanted)


def test_the_control_is_ana_but_for_its_parents() -> None:
    ana, alone = (Cell(method, 0).experiment.result_fields() for method in ("ana", "independent"))
    assert alone["model"]["adapter"].pop("parents") == "none"
    assert ana["model"]["adapter"].pop("parents") == "chain"
    assert ana == alone


def test_the_other_order_has_the_same_stages_the_last_one_first() -> None:
    usual, reverse = (
        Cell("ana", 0, setting).experiment.result_fields()["scenario"]["stages"]
        for setting in ("usual", "reversed")  # type: ignore[arg-type]
    )
    assert reverse == usual[::-1]
    assert tuple(stage["modality"] for stage in usual) == stage_names()


def test_few_questions_are_those_of_later_modalities() -> None:
    usual, few = (
        Cell("ana", 0, setting).experiment.result_fields()["scenario"]["stages"]
        for setting in ("usual", "few")  # type: ignore[arg-type]
    )
    assert usual[0] == few[0]
    for full, less in zip(usual[1:], few[1:], strict=True):
        assert full["data"][0].pop("max_questions") > less["data"][0].pop("max_questions") == FEW
        assert full == less


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return run_cell(TinyCell("ana", 0))


def test_a_cell_is_what_mcl_run_makes_of_it(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = open_or_begin(tmp_path / "run", TinyCell("ana", 0).experiment)
    for stage in run.stages():
        assert make_attempt(run, stage, LocalLauncher(), lambda *_: None).status == "done"
    again = RunFolder.open(run.path)
    assert tiny["scores"] == json.loads(json.dumps(modality_scores(again, again.finished_records()).to_json()))
    losses = [(stage.record("train") or {})["loss"] for stage in again.stages()]
    assert tiny["losses"] == losses


def test_a_cell_knows_what_it_trained_and_what_it_left_alone(tiny: dict[str, Any]) -> None:
    assert tiny["unchanged"] == {"image": True}
    assert all(own < of_all for own, of_all in zip(tiny["trained_parameters"], tiny["full_parameters"], strict=True))
    assert min(tiny["train_seconds"]) > 0 and min(tiny["peak_bytes"]) > 2**20


def test_a_cell_is_asked_all_test_questions_of_its_sets(tiny: dict[str, Any]) -> None:
    sample = pq.read_table(DATA / "shapes" / "questions.parquet").to_pylist()
    for modality, tallies in tiny["on_all_tests"].items():
        tested = [row for row in sample if row["modality"] == modality and row["split"] == "test"]
        assert sum(asked for _, asked in tallies.values()) == len(tested) > 3
    assert set(tiny["on_all_tests"]["image"]) == set(tiny["on_all_tests"]["depth"])  # the same 3-D models


def test_guessing_is_the_commonest_answer_of_training(tiny: dict[str, Any]) -> None:
    stages = modality_stages(TinyCell("ana", 0).experiment.scenario)  # type: ignore[arg-type]
    for stage in stages:
        learned = [asked.answers[0] for asked in stage.train.questions]
        tested = [asked.answers[0] for asked in stage.tests["shapes"].questions]
        assert tiny["guessing"][stage.modality] == tested.count(mode(learned)) / len(tested)


def test_full_fine_tuning_trains_all_that_it_is_compared_by() -> None:
    class FullCell(TinyCell):
        @property
        def overrides(self) -> list[str]:
            return [one for one in super().overrides if not one.startswith("model.adapter")]

    result = run_cell(FullCell("full", 0))
    assert result["trained_parameters"] == result["full_parameters"]
    assert result["unchanged"] == {"image": False}


def test_a_bit_that_a_later_stage_changed_is_seen() -> None:
    stages = [{"image": "a"}, {"image": "a", "video": "b"}, {"image": "c", "video": "b", "audio": "d"}]
    assert unchanged(stages) == {"image": False, "video": True}


def made_up(cell: Cell, last: float, lost: float, share: float, same: bool) -> dict[str, Any]:
    """A result in which every modality scores `last + lost` at first and `last` ever after."""
    names = stage_names() if cell.setting != "reversed" else stage_names()[::-1]
    is_joint = cell.method.startswith("joint")
    scores = {
        stage: {name: {"set": last + (lost if name == stage else 0)} for name in names[: place + 1]}
        for place, stage in enumerate(names)
    }
    forgotten = None if is_joint else lost
    return {
        "cell": cell.name,
        "command": cell.command,
        "versions": {"torch": "2"},
        "scores": {"order": list(names), "scores": scores, "joint": is_joint},
        "summary": {"last_mean": last, "mean_transfer": last + lost, "mean_forgetting": forgotten},
        "trained_parameters": [share * 1000] * 5,
        "full_parameters": [1000] * 5,
        "train_seconds": [60.0, 50.0, 40.0, 30.0, 20.0],
        "peak_bytes": [2**30] * 5,
        "unchanged": {} if is_joint else dict.fromkeys(names[:-1], same),
        "processor_seconds": 400.0,
        "guessing": dict.fromkeys(names, 0.2),
        **({"on_all_tests": made_up_answers(names, last)} if cell.method in ON_ALL_TESTS else {}),
        **({"exemplars": 100, "store_bytes": 2**20} if "replay" in cell.method else {}),
    }


def made_up_answers(names: Sequence[str], score: float) -> dict[str, dict[str, list[int]]]:
    """Of a hundred things as many are known as is scored."""
    return {name: {f"thing {number}": [int(number < round(100 * score)), 1] for number in range(100)} for name in names}


def page_of(folder: Path, ana: float, other: float, lost: float, same: bool) -> str:
    wanted = cells("full")
    results = {
        cell: made_up(cell, ana + cell.seed / 100, lost, 0.01, same)
        if cell.method == "ana"
        else made_up(cell, other, 0.1, 0.03, False)
        for cell in wanted
    }
    return write_page(results, wanted, folder).read_text()


def test_claims_say_what_was_won(tmp_path: Path) -> None:
    page = page_of(tmp_path, ana=0.5, other=0.3, lost=0.0, same=True)
    assert "`ana` does better than `independent`, whose adapters build on none and" in page
    assert (
        "by **21.0 ± 1.0 points** on all 500 test questions. Seeds and what is asked about give that a standard" in page
    )
    assert "Of audio, depth, point_cloud alone it is +21.0 ± 1.0, error 4.1: image is the base and" in page
    assert "Always saying the commonest answer of the training questions scores 20.0 in the mean" in page
    assert "**21.0 ± 1.0 points**, which is more than the pooled standard deviation of both, 0.7." in page
    assert "F is exactly 0; what it answers about earlier modalities is the same to the last bit" in page
    assert "`ana` trains 1.0 % of the parameters that full fine-tuning trains, within the 2 %" in page
    assert (
        "| few questions | same | same | **+21.0, error 4.1** | **+21.0, error 4.1** | **+21.0, error 4.1** |" in page
    )
    assert (
        "| reverse order | **+21.0, error 4.1** | **+21.0, error 4.1** | **+21.0, error 4.1** | same | same |" in page
    )
    assert "With the modalities in reverse order: `ana` does better" in page
    assert "Of audio, video, image alone it is" in page
    assert "With few questions about later modalities: `ana` does better" in page


def test_claims_say_what_was_lost(tmp_path: Path) -> None:
    page = page_of(tmp_path, ana=0.2, other=0.3, lost=0.1, same=False)
    assert "`ana` does worse than `independent`" in page
    assert "F is 10.00 ± 0.00 points; what it answers about earlier modalities is **not** the same" in page


def test_the_page_shows_every_method_and_its_pictures(tmp_path: Path) -> None:
    page = page_of(tmp_path, ana=0.5, other=0.3, lost=0.0, same=True)
    assert all(f"| `{method}` | " in page for method in METHODS)
    assert "`joint` has LoRA's rate: none was chosen for it" in page and "were not kept" in page
    assert "| `ana` | 60.0 ± 0.0 | 50.0 ± 0.0 | 40.0 ± 0.0 | 30.0 ± 0.0 | 20.0 ± 0.0 |" in page
    assert f"of {3 * (len(METHODS) + 2 * len(DECISIVE))} runs are here" in page
    for name in ("stages", "forgetting"):
        assert (tmp_path / "pathweave" / f"{name}.svg").stat().st_size > 1000


def test_a_small_study_asks_few_questions_and_says_nothing_of_all() -> None:
    assert not any(cell.asks_all_tests for cell in cells("small"))
    assert {cell.method for cell in cells("full") if cell.asks_all_tests} == set(ON_ALL_TESTS)


def test_the_page_can_be_written_before_all_has_run(tmp_path: Path) -> None:
    page = write_page({}, cells("small"), tmp_path)
    assert "not run yet" in page.read_text() and "on all test questions" not in page.read_text()


def test_the_study_is_resumed_where_its_results_lie() -> None:
    assert STUDY.results_folder("full").name == "results"
    assert STUDY.results_folder("small").parent.name == "small"

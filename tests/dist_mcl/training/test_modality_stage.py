"""What one rank of a stage over modalities does for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dist_mcl.coordinator import requirements, start
from dist_mcl.run_folder import ProgressFile, read_progress
from dist_mcl.training import modality_stage
from dist_mcl.training.modality_stage import ModalityStageRun
from dist_mcl.training.process_group import ProcessGroup

from .modality_runs import FULL, experiment, write_data


class Told(ProcessGroup):
    """The first of two ranks, or the other, to whom the first one tells that everything was right."""

    def broadcast(self, value: Any) -> Any:
        assert (value is None) == (not self.is_first)
        return {"": {"exact_match": 1.0}}


@pytest.mark.parametrize("rank", [0, 1])
def test_scores_are_computed_by_the_first_rank_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    computed = []
    monkeypatch.setattr(modality_stage, "ask", lambda *asked: ["yes", "no"])
    monkeypatch.setattr(modality_stage, "scores_by_task", lambda *scored: computed.append(scored) or {})
    monkeypatch.setattr(ModalityStageRun, "_learned", lambda stage, number: torch.nn.Identity())
    write_data(tmp_path / "data")
    run = start.open_or_begin(tmp_path / "run", experiment(tmp_path / "data", FULL))
    group = Told(rank, 2, torch.device("cpu"))
    stage = ModalityStageRun(run, run.stage(1), 1, group, ProgressFile(None), stop=None)  # type: ignore[arg-type]
    assert stage.evaluate()["scores"] == {"image": {"manifest": 1.0}}
    assert len(computed) == (1 if rank == 0 else 0)


def test_what_takes_long_after_the_last_question_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, shown = [], tmp_path / "progress.json"
    monkeypatch.setattr(requirements, "check_captions_can_be_scored", lambda how: None)
    monkeypatch.setattr(modality_stage, "ask", lambda *asked: ["yes", "no"])
    monkeypatch.setattr(modality_stage, "scores_by_task", lambda *scored: steps.append(read_progress(shown)) or {})
    monkeypatch.setattr(ModalityStageRun, "_learned", lambda stage, number: torch.nn.Identity())
    write_data(tmp_path / "data")
    questions = tmp_path / "data" / "image" / "test.jsonl"
    rows = questions.read_text()
    for number, task in enumerate(("caption", "question")):
        questions.write_text(rows.replace('{"media"', f'{{"task": "{task}", "media"'))
        run = start.open_or_begin(tmp_path / f"run{number}", experiment(tmp_path / "data", FULL))
        group = Told(0, 2, torch.device("cpu"))
        ModalityStageRun(run, run.stage(1), 1, group, ProgressFile(shown), stop=None).evaluate()  # type: ignore[arg-type]
    assert [seen.step for seen in steps] == ["scoring captions", "evaluate"]

"""One run of the study, and what is kept of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dist_mcl.report import modality_scores
from exemplar_store import StoreReader
from studies.in_process import record_of, run_here
from studies.modality_stages import ModalityStudyStage
from studies.pathweave.grid import Cell

PACKAGES = ("torch", "deepspeed", "transformers", "peft", "zarr", "numpy")


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run it, and return its result as plain values; the run's folder is removed.

    Keys: `scores`, the whole S[a][b][d] with the order of the modalities, as `ModalityScores.to_json`; `summary`, with
    T and F; `guessing`, by modality, what always saying the commonest answer of its training questions scores; of each
    stage the `losses` of its steps, `trained_parameters`, `full_parameters` (what full fine-tuning trains in it),
    `train_seconds` of the processor and `peak_bytes`; `unchanged`, by modality; `exemplars` and `store_bytes` after
    the last stage; `on_all_tests` of some methods, as `ModalityStudyStage.on_all_tests`; `processor_seconds` of all.
    """
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        stages = run_here(Path(folder) / "run", cell.experiment, ModalityStudyStage)
        run = stages[-1].run
        scores = modality_scores(run, run.finished_records())
        result = {
            "cell": cell.name,
            "command": cell.command,
            "versions": {name: version(name) for name in PACKAGES},
            "scores": scores.to_json(),
            "summary": scores.summary(),
            "guessing": stages[-1].guessing(),
            **({"on_all_tests": stages[-1].on_all_tests()} if cell.asks_all_tests else {}),
            "full_parameters": [stage.full_parameters() for stage in stages],
            "unchanged": unchanged([record_of(stage, "evaluate")["digests"] for stage in stages]),
            **_costs(stages),
            **(_memory(stages[-1]) if cell.experiment.exemplars.budget else {}),
        }
    return {**result, "processor_seconds": time.process_time() - began}


def unchanged(digests: Sequence[dict[str, str]]) -> dict[str, bool]:
    """Whether later stages have left every bit of a modality's answers as it was, of those with a later stage.

    Args:
        digests: of each stage, by modality, as `ModalityStudyStage` records them.
    """
    found: dict[str, list[str]] = {}
    for stage in digests:
        for modality, digest in stage.items():
            found.setdefault(modality, []).append(digest)
    return {modality: len(set(its)) == 1 for modality, its in found.items() if len(its) > 1}


def _costs(stages: Sequence[ModalityStudyStage]) -> dict[str, list[Any]]:
    records = [record_of(stage, "train") for stage in stages]
    return {
        "trained_parameters": [record["trainable_parameters"] for record in records],
        "losses": [record["loss"] for record in records],
        "train_seconds": [record["processor_seconds"] for record in records],
        "peak_bytes": [record["peak_bytes"] for record in records],
    }


def _memory(last: ModalityStudyStage) -> dict[str, Any]:
    record = record_of(last, "memorise")
    with closing(StoreReader(last.run.store)) as reader:
        kept = len(reader)
    return {"exemplars": kept, "store_bytes": record["bytes"]}

"""One run of the study, and what is kept of it."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dist_mcl.evaluation.metrics import AccuracyMatrix, accuracy_pooled, summarise
from exemplar_store import StoreReader
from studies.class_stages import ClassStudyStage
from studies.exemplar_masking.diagnostics import masked_test_accuracy, outline_facts
from studies.exemplar_masking.grid import Cell
from studies.in_process import record_of, run_here

PACKAGES = ("torch", "deepspeed", "transformers", "peft", "zarr", "numpy", "pillow")


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run it, and return its result as plain values; the run's folder is removed.

    Keys: `accuracy` (row t: classes of each stage after stage t) and `items`; `average`, `last` and `forgetting` as
    fractions, pooled over test items; `exemplars`, `classes_remembered`, `store_bytes` and `bytes_per_exemplar` after
    the last stage; `processor_seconds`, `train_seconds`; `masked_test` and `outline` where pictures are masked.
    """
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        stages = run_here(Path(folder) / "run", cell.experiment, ClassStudyStage)
        result = {
            "cell": cell.name,
            "command": cell.command,
            "versions": {name: version(name) for name in PACKAGES},
            **_accuracy(stages),
            **(_memory(stages) if cell.budget else {}),
            "train_seconds": sum(float(record_of(stage, "train")["seconds"]) for stage in stages),
        }
        if cell.budget:
            result["masked_test"] = masked_test_accuracy(stages[-1])
            result["outline"] = outline_facts(stages[-1]) if cell.data == "photo" else None
    return {**result, "processor_seconds": time.process_time() - began}


def _accuracy(stages: list[ClassStudyStage]) -> dict[str, Any]:
    records = [record_of(stage, "evaluate") for stage in stages]
    matrix = AccuracyMatrix.from_rows([record["accuracy"] for record in records], records[-1]["items"])
    metrics = summarise(matrix)
    pooled = accuracy_pooled(matrix)
    return {
        "accuracy": [record["accuracy"] for record in records],
        "items": records[-1]["items"],
        "average": float(pooled.mean()),
        "last": float(pooled[-1]),
        "forgetting": metrics["forgetting_max_prev"],
    }


def _memory(stages: list[ClassStudyStage]) -> dict[str, Any]:
    record = record_of(stages[-1], "memorise")
    with closing(StoreReader(stages[-1].run.store)) as reader:
        payload = float(reader.payload_bytes.mean()) if len(reader) else 0.0
    return {
        "exemplars": record["exemplars"],
        "classes_remembered": sum(1 for its in record["classes"].values() if its["exemplars"]),
        "store_bytes": record["bytes"],
        "bytes_per_exemplar": payload,
    }

"""Read everything that a report shows from a run folder."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import version
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.evaluation import AccuracyMatrix, per_class_accuracy
from dist_mcl.modalities.image import unpatchify
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.modalities.tokenizers import open_tokenizers
from dist_mcl.report.data import ClassRecord, ExemplarPicture, LossCurve, ReportData, StageRecord, Word
from dist_mcl.run_folder import RunFolder
from dist_mcl.store_config import whole_picture
from dist_mcl.tokens import Tokens
from exemplar_store import StoreReader

_PACKAGES = ("dist-mcl", "torch", "deepspeed", "transformers", "peft", "zarr", "numcodecs", "numpy", "pillow")
_PER_CLASS_IN_GALLERY = 4
_WORDPIECE_JOINS = "##"


def collect(run: RunFolder) -> ReportData:
    """What the finished stages of a run have to show, up to the first that is not finished or was damaged since.

    Raises:
        UserError: no stage is finished yet.
        StoreError: the run's store cannot be read.
    """
    finished = run.finished_records()
    if not finished:
        raise UserError(f"{run.path}: no stage is finished yet; continue the run with `mcl run`")
    metrics = [records["evaluate"] for records in finished]
    memory = finished[-1]["memorise"]
    return ReportData(
        name=run.path.name,
        planned_stages=len(run.plan.stages),
        matrix=AccuracyMatrix.from_rows([row["accuracy"] for row in metrics], metrics[-1]["items"]),
        stages=[_stage(run, number, records) for number, records in enumerate(finished, start=1)],
        budget=run.experiment.exemplars.budget,
        classes=_classes(run, _accuracies(metrics[-1]), memory["classes"]),
        # Without pictures the record says 0.
        whole_image_bytes=memory["whole_image_bytes"] or None,
        whole_image_quality=whole_picture(run.experiment.exemplars.image_codec).quality,
        gallery=_gallery(run, len(finished)) if memory["exemplars"] and _has_pictures(run) else [],
        config=yaml.safe_dump(run.experiment.model_dump(mode="json"), sort_keys=False),
        versions={name: version(name) for name in _PACKAGES},
    )


def _stage(run: RunFolder, number: int, records: dict[str, dict[str, Any]]) -> StageRecord:
    loss = records["train"]["loss"]
    return StageRecord(
        classes=[run.plan.class_names[class_id] for class_id in run.plan.stages[number - 1]],
        seconds={step: record["seconds"] for step, record in records.items()},
        exemplars=records["memorise"]["exemplars"],
        store_bytes=records["memorise"]["bytes"],
        losses=[LossCurve("fresh and replayed" if records["train"]["exemplars"] else "fresh", range(len(loss)), loss)],
    )


def _accuracies(metrics: dict[str, Any]) -> NDArray[np.float64]:
    """Of each class; of each modality where modalities are what stages bring."""
    if "confusion" in metrics:
        return per_class_accuracy(np.array(metrics["confusion"]))
    details = metrics["details"].values()
    return np.array([np.mean([test["exact_match"] for test in tests.values()]) for tests in details])


def _classes(run: RunFolder, accuracy: NDArray[np.float64], kept: dict[str, dict[str, int]]) -> list[ClassRecord]:
    nothing = {"exemplars": 0, "bytes": 0}
    stage_of = {class_id: number for number, stage in enumerate(run.plan.stages, start=1) for class_id in stage}
    return [
        ClassRecord(
            name=run.plan.class_names[class_id],
            stage=stage_of[class_id],
            exemplars=kept.get(str(class_id), nothing)["exemplars"],
            coded_bytes=kept.get(str(class_id), nothing)["bytes"],
            accuracy=None if np.isnan(accuracy[row]) else float(accuracy[row]),
        )
        for row, class_id in enumerate(run.plan.class_order[: len(accuracy)])
    ]


def _has_pictures(run: RunFolder) -> bool:
    """Whether the gallery shows what the store holds; where modalities are learned, `exemplar-store show` does."""
    is_of_classes = run.experiment.scenario.kind == "class_incremental"
    return is_of_classes and "image" in run.experiment.data.modalities


def _gallery(run: RunFolder, stages: int) -> list[ExemplarPicture]:
    tokenizer = open_tokenizers(run.experiment.model).text
    with closing(StoreReader(run.store)) as reader:
        # A stage that memorised and did not finish is in the store already, but not in this report.
        known = np.flatnonzero((reader.stages <= stages) & _pictured(reader))
        if not len(known):
            return []
        first = [known[reader.labels[known] == label][:_PER_CLASS_IN_GALLERY] for label in np.unique(reader.labels)]
        shown = np.concatenate(first).tolist()
        shown.sort(key=lambda index: (run.plan.class_order.index(int(reader.labels[index])), reader.ranks[index]))
        return [
            ExemplarPicture(
                class_name=run.plan.class_names[exemplar.label],
                rank=exemplar.rank,
                picture=unpatchify(exemplar.tokens["image"]),
                kept=_kept(exemplar.tokens["image"]),
                words=_words(exemplar.tokens["text"], tokenizer) if "text" in exemplar.tokens else [],
                coded_bytes=int(reader.payload_bytes[index]),
            )
            for index, exemplar in zip(shown, reader.read_many(shown), strict=True)
        ]


def _pictured(reader: StoreReader) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return reader.kept.get("image", np.zeros(len(reader), dtype=np.int64)) > 0


def _kept(tokens: Tokens) -> np.ndarray[Any, np.dtype[np.bool_]]:
    kept = np.zeros(tokens.grid, dtype=np.bool_)
    kept.flat[tokens.positions] = True
    return kept


def _words(tokens: Tokens, tokenizer: TextTokenizer) -> list[Word]:
    pieces = dict(zip(tokens.positions.tolist(), tokenizer.pieces(tokens), strict=True))
    return [_word(pieces.get(place), place in pieces) for place in range(tokens.grid[0])]


def _word(piece: str | None, kept: bool) -> Word:
    text = None if piece is None else piece.removeprefix(_WORDPIECE_JOINS)
    return Word(text, kept, joins=text != piece)

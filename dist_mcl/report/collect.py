"""Read everything that a report shows from a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.evaluation import AccuracyMatrix, per_class_accuracy
from dist_mcl.evaluation.answers import scale_of
from dist_mcl.evaluation.modalities import ModalityScores
from dist_mcl.modalities.image import unpatchify
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.modalities.tokenizers import open_tokenizers
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.report.data import (
    ClassRecord,
    ClassReport,
    ExemplarPicture,
    LossCurve,
    ModalityRecord,
    ModalityReport,
    StageRecord,
    Word,
)
from dist_mcl.run_folder import RunFolder
from dist_mcl.store_config import whole_picture
from dist_mcl.tokens import Tokens
from exemplar_store import StoreReader

Records = dict[str, dict[str, Any]]  # of a stage, by its step
_PACKAGES = ("dist-mcl", "torch", "deepspeed", "transformers", "peft", "zarr", "numcodecs", "numpy", "pillow")
_PER_CLASS_IN_GALLERY = 4
_WORDPIECE_JOINS = "##"
_NOTHING = {"exemplars": 0, "bytes": 0}


def collect(run: RunFolder) -> ClassReport | ModalityReport:
    """What the finished stages of a run have to show, up to the first that is not finished or was damaged since.

    Raises:
        UserError: no stage is finished yet.
        StoreError: the run's store cannot be read.
    """
    finished = run.finished_records()
    if not finished:
        raise UserError(f"{run.path}: no stage is finished yet; continue the run with `mcl run`")
    return (_modalities if isinstance(run.experiment.scenario, ModalityIncremental) else _classes)(run, finished)


def _classes(run: RunFolder, finished: Sequence[Records]) -> ClassReport:
    metrics = [records["evaluate"] for records in finished]
    memory = finished[-1]["memorise"]
    return ClassReport(
        **_of_any_run(run, finished),
        matrix=AccuracyMatrix.from_rows([row["accuracy"] for row in metrics], metrics[-1]["items"]),
        classes=_class_records(run, per_class_accuracy(np.array(metrics[-1]["confusion"])), memory["classes"]),
        # Without pictures the record says 0.
        whole_image_bytes=memory["whole_image_bytes"] or None,
        whole_image_quality=whole_picture(run.experiment.exemplars.image_codec).quality,
        gallery=_gallery(run, len(finished)) if memory["exemplars"] and _has_pictures(run) else [],
    )


def _modalities(run: RunFolder, finished: Sequence[Records]) -> ModalityReport:
    metrics = finished[-1]["evaluate"]
    return ModalityReport(
        **_of_any_run(run, finished),
        scores=modality_scores(run, finished),
        modalities=_modality_records(run, finished, metrics["items"]),
        details=metrics["details"],
    )


def _modality_records(run: RunFolder, finished: Sequence[Records], tested: Sequence[int]) -> list[ModalityRecord]:
    kept = finished[-1]["memorise"]["classes"]  # what the store calls a class is a modality here
    arrived = [
        (label, count, records["train"]["trainable_parameters"])
        for records, brings in zip(finished, run.plan.stages, strict=False)
        for label, count in zip(brings, _questions(records["train"]), strict=True)
    ]
    return [
        ModalityRecord(
            learned=count,
            tested=items,
            parameters=size,
            exemplars=kept.get(str(label), _NOTHING)["exemplars"],
            coded_bytes=kept.get(str(label), _NOTHING)["bytes"],
        )
        for (label, count, size), items in zip(arrived, tested, strict=True)
    ]


def _questions(trained: dict[str, Any]) -> list[int]:
    """Of each modality that a stage brought; runs of earlier versions say how many there are of the only one."""
    questions: list[int] = trained.get("questions", [trained["fresh_samples"]])
    return questions


def modality_scores(run: RunFolder, finished: Sequence[Records]) -> ModalityScores:
    """S of the finished stages of a run over modalities.

    Raises:
        UserError: stages were scored by versions that know other tasks.
    """
    rows = [records["evaluate"]["scores"] for records in finished]
    order = [run.plan.class_names[number] for brings in run.plan.stages[: len(rows)] for number in brings]
    scenario = run.experiment.scenario
    assert isinstance(scenario, ModalityIncremental)
    details = finished[-1]["evaluate"]["details"]
    scales = {name: {dataset: scale_of(scores) for dataset, scores in its.items()} for name, its in details.items()}
    try:
        if scenario.joint:
            return ModalityScores.of_joint(order, rows[0], scales)
        return ModalityScores.from_rows(order, rows, scales)
    except ValueError as error:
        raise UserError(
            f"{run.path}: its stages were scored by different versions of dist-mcl ({error}); run it anew in another "
            "folder"
        ) from error


def _of_any_run(run: RunFolder, finished: Sequence[Records]) -> dict[str, Any]:
    return {
        "name": run.path.name,
        "planned_stages": len(run.plan.stages),
        "stages": [_stage(run, number, records) for number, records in enumerate(finished, start=1)],
        "budget": run.experiment.exemplars.budget,
        "config": yaml.safe_dump(run.experiment.model_dump(mode="json"), sort_keys=False),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _stage(run: RunFolder, number: int, records: Records) -> StageRecord:
    loss = records["train"]["loss"]
    return StageRecord(
        brings=[run.plan.class_names[class_id] for class_id in run.plan.stages[number - 1]],
        seconds={step: record["seconds"] for step, record in records.items()},
        exemplars=records["memorise"]["exemplars"],
        store_bytes=records["memorise"]["bytes"],
        losses=[LossCurve("fresh and replayed" if records["train"]["exemplars"] else "fresh", range(len(loss)), loss)],
    )


def _class_records(run: RunFolder, accuracy: NDArray[np.float64], kept: dict[str, dict[str, int]]) -> list[ClassRecord]:
    stage_of = {class_id: number for number, stage in enumerate(run.plan.stages, start=1) for class_id in stage}
    return [
        ClassRecord(
            name=run.plan.class_names[class_id],
            stage=stage_of[class_id],
            exemplars=kept.get(str(class_id), _NOTHING)["exemplars"],
            coded_bytes=kept.get(str(class_id), _NOTHING)["bytes"],
            accuracy=None if np.isnan(accuracy[row]) else float(accuracy[row]),
        )
        for row, class_id in enumerate(run.plan.class_order[: len(accuracy)])
    ]


def _has_pictures(run: RunFolder) -> bool:
    return "image" in run.experiment.data.modalities


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

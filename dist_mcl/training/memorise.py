"""The memorise step of a stage: features, selection, masks, and admission to the store under its byte budget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from dist_mcl.config import Experiment
from dist_mcl.exemplars import Candidates, Masking, rank_samples
from dist_mcl.exemplars.codecs import LOGITS
from dist_mcl.modalities.image import unpatchify
from dist_mcl.run_folder import ProgressFile, RunFolder
from dist_mcl.store_config import JpegCodec, whole_picture
from dist_mcl.tokens import Batch, Sample, Tokens
from dist_mcl.training.agreement import check_agreement
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.masking import score
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.remask import shrink_older
from dist_mcl.training.samples import ids_of, targets_of
from dist_mcl.training.sharding import BATCH_SIZE, each_batch
from dist_mcl.training.zero3 import is_sharded
from exemplar_store import (
    EncodedExemplar,
    Exemplar,
    ExemplarStore,
    StoreReader,
    encode,
    whole_image_bytes,
)
from exemplar_store.communicator import on_first

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]  # features (n, d) and logits (n, c) of a batch


def memorise(
    model: Classifier,
    samples: Sequence[Sample],
    run: RunFolder,
    stage: int,
    masking: Masking,
    group: ProcessGroup,
    progress: ProgressFile,
) -> dict[str, object]:
    """Bring a stage's samples into the memory, and drop what no longer fits the budget.

    Every rank codes its own exemplars and writes them itself; the store decides over all of them together, and what it
    holds does not depend on how many ranks there are. Does nothing twice: a stage that the store already holds is only
    described.

    Returns:
        on every rank: the generation, its exemplars and bytes, and a digest that is equal for equal memories.
    """
    store = ExemplarStore.open(run.store, run_id=run.plan.run_id, communicator=group)
    if stage not in store.head.stages:
        mine = _choose(model, samples, run.experiment, masking, group, progress)
        smaller = shrink_older(model, store, run.experiment, group)
        admission = store.plan(stage, mine, dict(enumerate(run.plan.class_names)), smaller)
        store.commit(admission, evict_first=run.experiment.exemplars.store.evict_first)
    return on_first(group, lambda: describe_memory(store))


def _choose(
    model: Classifier,
    samples: Sequence[Sample],
    experiment: Experiment,
    masking: Masking,
    group: ProcessGroup,
    progress: ProgressFile,
) -> Iterator[EncodedExemplar]:
    """Mask this rank's samples, rank them among the samples of all ranks, and code them as candidates.

    They are coded as they are taken, by the store, which lets all ranks know if that fails on one.
    """
    whole_as = whole_picture(experiment.exemplars.image_codec)
    masked, known = _look(model, samples, masking, group, progress)
    targets = targets_of(samples)
    ranks = rank_samples(experiment.exemplars.selection, known, targets, experiment.seed)
    scores = closeness(known.features, targets)
    check_agreement({"exemplars of class": choice(known.ids, targets, ranks)}, group)
    if experiment.training.distillation.teacher == "stored":
        masked = {index: _with_logits(sample, known.logits[index]) for index, sample in masked.items()}
    return (
        encode(_exemplar(sample, samples[index], int(ranks[index]), float(scores[index]), whole_as), masking.codecs)
        for index, sample in masked.items()
    )


def _with_logits(sample: Sample, logits: NDArray[np.float32]) -> Sample:
    return replace(sample, tokens={**sample.tokens, LOGITS: Tokens.full(logits.astype(np.float16), logits.shape)})


def describe_memory(store: ExemplarStore) -> dict[str, object]:
    """What the newest generation holds, and a digest over its ids, ranks and masks."""
    digest = hashlib.sha256()
    with closing(StoreReader(store.path)) as reader:
        for exemplar in reader.read_all():
            digest.update(f"{exemplar.label} {exemplar.rank} {exemplar.sample_id}".encode())
            for name in sorted(exemplar.tokens):
                digest.update(exemplar.tokens[name].positions.tobytes())
        classes = {
            str(label): {"exemplars": int(mine.sum()), "bytes": int(reader.payload_bytes[mine].sum())}
            for label in np.unique(reader.labels).tolist()
            for mine in [reader.labels == label]
        }
        return {
            "generation": store.head.number,
            "exemplars": len(reader),
            "bytes": store.used_bytes,
            "whole_image_bytes": _mean_of_known(reader.baseline_bytes),
            "classes": classes,
            "digest": digest.hexdigest(),
        }


def _mean_of_known(sizes: NDArray[np.int64]) -> float:
    """Of those that have a picture; 0 where none has."""
    return float(sizes[sizes > 0].mean()) if sizes.any() else 0.0


@torch.no_grad()
def _look(
    model: Classifier, samples: Sequence[Sample], masking: Masking, group: ProcessGroup, progress: ProgressFile
) -> tuple[dict[int, Sample], Candidates]:
    """This rank's masked samples by index, and what the model knows of all samples."""
    model.eval()
    masked: dict[int, Sample] = {}
    mine: dict[int, Answers] = {}

    def answers_and_masked(chunk: list[Sample]) -> tuple[Answers, list[Sample]]:
        batch = Batch.collate(model.backbone.prepare(chunk)).to(group.device)
        features = model.backbone(batch)
        answers = features.float().cpu().numpy(), model.head(features).float().cpu().numpy()
        pairs = zip(chunk, score(model, batch, masking), strict=True)
        return answers, [masking.apply(sample, masking.decide(sample, scores)) for sample, scores in pairs]

    for number, (answers, kept) in each_batch(answers_and_masked, samples, group, is_sharded(model)):
        mine[number] = answers
        masked.update(enumerate(kept, start=number * BATCH_SIZE))
        progress.update("memorise", min((number + 1) * BATCH_SIZE, len(samples)), len(samples), number * BATCH_SIZE)
    chunks = {number: answers for share in group.gather(mine) for number, answers in share.items()}
    features, logits = (np.concatenate([chunks[number][part] for number in sorted(chunks)]) for part in (0, 1))
    return masked, Candidates(ids_of(samples), features, logits)


def closeness(features: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) cosine of each sample's features to the mean of its class."""
    scores = np.zeros(len(targets))
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        units = normalize(torch.from_numpy(features[members]))
        scores[members] = units @ normalize(units.mean(dim=0), dim=0)
    return scores


def choice(ids: NDArray[np.integer[Any]], targets: NDArray[np.int64], ranks: NDArray[np.int64]) -> dict[str, str]:
    """For each class a digest of its samples in the order of their ranks."""
    best_first = np.argsort(ranks, kind="stable")
    order = {target: ids[best_first][targets[best_first] == target] for target in np.unique(targets).tolist()}
    return {str(target): hashlib.sha256(chosen.tobytes()).hexdigest()[:12] for target, chosen in order.items()}


def _exemplar(masked: Sample, whole: Sample, rank: int, score: float, whole_as: JpegCodec) -> Exemplar:
    picture = unpatchify(whole.tokens["image"]) if "image" in whole.tokens else None
    return Exemplar(
        sample_id=masked.id,
        label=masked.class_id,
        stage=masked.stage,
        rank=rank,
        score=score,
        tokens=masked.tokens,
        source_hw=(0, 0) if picture is None else (picture.shape[0], picture.shape[1]),
        baseline_bytes=0 if picture is None else whole_image_bytes(picture, whole_as.quality, whole_as.subsampling),
    )

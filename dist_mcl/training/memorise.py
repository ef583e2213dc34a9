"""The memorise step of a stage: features, selection, masks, and admission to the store under its byte budget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from dist_mcl.config import Experiment
from dist_mcl.exemplars import Masking, herding
from dist_mcl.modalities.image import unpatchify
from dist_mcl.run_folder import ProgressFile, RunFolder
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.agreement import check_agreement
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.masking import score
from dist_mcl.training.process_group import ProcessGroup
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
        store.commit(store.plan(stage, mine, dict(enumerate(run.plan.class_names))))
    return on_first(group, lambda: _describe_memory(store))


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
    quality = experiment.exemplars.jpeg_quality
    masked, features = _look(model, samples, masking, group, progress)
    ids = np.array([sample.id for sample in samples])
    targets = np.array([sample.target for sample in samples])
    ranks, scores = _rank(features, ids, targets)
    check_agreement({"exemplars of class": _choice(ids, targets, ranks)}, group)
    return (
        encode(_exemplar(sample, samples[index], int(ranks[index]), float(scores[index]), quality), masking.codecs)
        for index, sample in masked.items()
    )


def _describe_memory(store: ExemplarStore) -> dict[str, object]:
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
            "whole_image_bytes": float(reader.baseline_bytes.mean()),
            "classes": classes,
            "digest": digest.hexdigest(),
        }


@torch.no_grad()
def _look(
    model: Classifier, samples: Sequence[Sample], masking: Masking, group: ProcessGroup, progress: ProgressFile
) -> tuple[dict[int, Sample], NDArray[np.float32]]:
    """This rank's masked samples by index, and the features (n, d) of all samples."""
    model.eval()
    masked: dict[int, Sample] = {}
    mine: dict[int, NDArray[np.float32]] = {}

    def features_and_masked(chunk: list[Sample]) -> tuple[NDArray[np.float32], list[Sample]]:
        batch = Batch.collate(model.backbone.prepare(chunk)).to(group.device)
        features = model.backbone(batch).float().cpu().numpy()
        pairs = zip(chunk, score(model, batch, masking), strict=True)
        return features, [masking.apply(sample, masking.decide(sample, scores)) for sample, scores in pairs]

    for number, (features, kept) in each_batch(features_and_masked, samples, group, is_sharded(model)):
        mine[number] = features
        masked.update(enumerate(kept, start=number * BATCH_SIZE))
        progress.update("memorise", min((number + 1) * BATCH_SIZE, len(samples)), len(samples), number * BATCH_SIZE)
    chunks = {number: features for share in group.gather(mine) for number, features in share.items()}
    return masked, np.concatenate([chunks[number] for number in sorted(chunks)])


def _rank(
    features: NDArray[np.float32], ids: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) place of each sample in the herding order of its class, and its cosine to the mean of its class."""
    ranks, scores = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids))
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        ranks[members[herding(features[members], ids[members])]] = np.arange(len(members))
        units = normalize(torch.from_numpy(features[members]))
        scores[members] = units @ normalize(units.mean(dim=0), dim=0)
    return ranks, scores


def _choice(ids: NDArray[np.int64], targets: NDArray[np.int64], ranks: NDArray[np.int64]) -> dict[str, str]:
    """For each class a digest of its samples in their herding order."""
    best_first = np.argsort(ranks, kind="stable")
    order = {target: ids[best_first][targets[best_first] == target] for target in np.unique(targets).tolist()}
    return {str(target): hashlib.sha256(chosen.tobytes()).hexdigest()[:12] for target, chosen in order.items()}


def _exemplar(masked: Sample, whole: Sample, rank: int, score: float, quality: int) -> Exemplar:
    picture = unpatchify(whole.tokens["image"]) if "image" in whole.tokens else None
    return Exemplar(
        sample_id=masked.id,
        label=masked.target,
        stage=masked.stage,
        rank=rank,
        score=score,
        tokens=masked.tokens,
        source_hw=(0, 0) if picture is None else (picture.shape[0], picture.shape[1]),
        baseline_bytes=0 if picture is None else whole_image_bytes(picture, quality),
    )

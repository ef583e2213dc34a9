"""Exemplars of earlier stages, masked again: smaller, never larger, since what was dropped is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from dist_mcl.config import Experiment
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.exemplars.maskers import Kept, top_ratio
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import BATCH_SIZE, each_batch
from dist_mcl.training.zero3 import is_sharded
from exemplar_store import EncodedExemplar, ExemplarStore, StoreReader, shrunk


def shrink_older(
    model: Classifier, store: ExemplarStore, experiment: Experiment, group: ProcessGroup
) -> Iterator[EncodedExemplar]:
    """This rank's share of the store's exemplars that are to have fewer patches, still in the code that they had.

    All ranks must call this; the passes are done when it returns. Patches that stay are not coded again.
    """
    if experiment.exemplars.remask == 1 or not store.head.segments:
        return iter(())
    masks = _masks(model, ExemplarDataset(store.path, store.head.number), experiment, group)
    return _shrunk(store, masks)


def _shrunk(store: ExemplarStore, masks: dict[int, Kept]) -> Iterator[EncodedExemplar]:
    with closing(StoreReader(store.path, store.head.number)) as reader:
        for index, kept in masks.items():
            if not kept.all():
                yield shrunk(reader.encoded(index), {"image": kept})


@torch.no_grad()
def _masks(model: Classifier, memory: ExemplarDataset, experiment: Experiment, group: ProcessGroup) -> dict[int, Kept]:
    """Of this rank's exemplars with a picture, by index: which patches stay."""
    model.eval()
    config, seed = experiment.exemplars, experiment.seed

    def kept(chunk: list[Sample]) -> list[Kept]:
        batch = Batch.collate(model.backbone.prepare(chunk)).to(group.device)
        found = model.backbone.token_scores(batch, config.scores, model.head)
        scores = [its.class_scores.get("image", np.zeros(0)) for its in found]
        if config.is_random:
            scores = [_draws(seed, sample, len(its)) for sample, its in zip(chunk, scores, strict=True)]
        return [top_ratio(its.astype(np.float64), config.remask) for its in scores]

    batches = each_batch(kept, memory, group, is_sharded(model))
    masks = {number * BATCH_SIZE + place: its for number, chunk in batches for place, its in enumerate(chunk)}
    return {index: its for index, its in masks.items() if len(its)}


def _draws(seed: int, sample: Sample, count: int) -> NDArray[np.float64]:
    # With the count it is another draw than for the mask before, and one in each stage.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, sample.id, count)))).random(count)

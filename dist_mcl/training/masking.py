"""Samples with only the tokens that an exemplar would keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from dist_mcl.exemplars import Masking, replay_form
from dist_mcl.tokens import Batch, Sample, TokenScores
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.samples import LazySamples
from dist_mcl.training.sharding import each_batch, of_all_ranks, prepare
from dist_mcl.training.zero3 import is_sharded

Kept = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class MaskedSamples(LazySamples):
    """Samples as replay would see them, masked when they are asked for.

    Attributes:
        samples: whole; prepared ones will do if `masking` only drops tokens.
        kept: by sample, what is kept of it.
        masking: how the samples are to look.
    """

    samples: Sequence[Sample]
    kept: Sequence[Kept]
    masking: Masking

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, index: int) -> Sample:
        return as_replayed(self.masking, self.samples[index], self.kept[index])


def as_replayed(masking: Masking, sample: Sample, kept: Kept) -> Sample:
    """A sample with what is kept of it, as replay sees it."""
    if masking.changes_pixels:
        image = sample.tokens.get("image")
        side = 0 if image is None else image.values.shape[1]
        source = (0, 0) if image is None else (image.grid[0] * side, image.grid[1] * side)
        exemplar = masking.apply(sample, kept)
        return replay_form(
            masking.coded(exemplar) if masking.config.fresh_coding else exemplar, source, masking.config.dropped
        )
    tokens = {name: part.take(kept[name]) if name in kept else part for name, part in sample.tokens.items()}
    return replace(sample, tokens=tokens)


@torch.no_grad()
def mask_all(
    model: Classifier, raw: Sequence[Sample], prepared: Sequence[Sample], masking: Masking, group: ProcessGroup
) -> Sequence[Sample]:
    """All samples, masked by the model's attention and prepared; the ranks share the work and every rank gets all.

    Args:
        raw: with their pixels.
        prepared: the same samples, prepared by the backbone.
    """
    model.eval()

    def decide(numbers: list[int]) -> list[Kept]:
        scores = score(model, Batch.collate([prepared[number] for number in numbers]), masking)
        return [masking.decide(raw[number], its) for number, its in zip(numbers, scores, strict=True)]

    mine = dict(each_batch(decide, range(len(raw)), group, is_sharded(model)))
    kept = [one for chunk in of_all_ranks(mine, group) for one in chunk]
    if masking.changes_pixels:
        return prepare(model.backbone, MaskedSamples(raw, kept, masking), group)
    return MaskedSamples(prepared, kept, masking)


def score(model: Classifier, batch: Batch, masking: Masking) -> list[TokenScores]:
    """The scores of a batch that masks are made from."""
    return model.backbone.token_scores(batch.to(model.head.weight.device), masking.config.scores, model.head)

"""Samples with only the tokens that an exemplar would keep."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dist_mcl.config import Experiment
from dist_mcl.exemplars import mask_sample
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import each_batch
from dist_mcl.training.zero3 import is_sharded


@torch.no_grad()
def mask_all(model: Classifier, samples: Sequence[Sample], experiment: Experiment, group: ProcessGroup) -> list[Sample]:
    """All samples, masked by the model's attention; the ranks share the work and every rank gets all."""
    model.eval()
    mine = dict(each_batch(lambda chunk: mask_chunk(model, chunk, experiment), samples, group, is_sharded(model)))
    chunks = {number: chunk for share in group.gather(mine) for number, chunk in share.items()}
    return [sample for number in sorted(chunks) for sample in chunks[number]]


def mask_chunk(model: Classifier, chunk: Sequence[Sample], experiment: Experiment) -> list[Sample]:
    """A few samples, masked, in one forward pass."""
    scores = model.backbone.token_scores(Batch.collate(chunk).to(model.head.weight.device))
    config, seed = experiment.exemplars, experiment.seed
    return [mask_sample(sample, its, config, seed) for sample, its in zip(chunk, scores, strict=True)]

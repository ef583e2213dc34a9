"""The nearest mean of exemplars (NME) as a classifier: iCaRL, arXiv 1611.07725, algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import each_batch, of_all_ranks
from dist_mcl.training.zero3 import is_sharded


@dataclass(frozen=True)
class ClassMeans:
    """Where the exemplars of each class are.

    Attributes:
        vectors: (classes, d) fp32 of length 1, by head row.
        absent: (classes,) bool, of which there is no exemplar; such a class is never said.
    """

    vectors: Tensor
    absent: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(B, d) features to (B, classes) scores. The highest is the nearest mean, for normalised features."""
        return (features.float() @ self.vectors.T).masked_fill(self.absent, float("-inf"))


@torch.no_grad()
def class_means(
    model: Classifier, memory: ExemplarDataset, rows: Tensor, classes: int, group: ProcessGroup
) -> ClassMeans:
    """The normalised mean of each class's normalised features, of exemplars as they are in the memory: masked.

    The ranks share the work and every rank gets all.

    Args:
        rows: lookup from class id to head row.
        classes: how many there are so far.
    """
    model.eval()

    def features_of(chunk: list[Sample]) -> NDArray[np.float32]:
        batch = Batch.collate(model.backbone.prepare(chunk)).to(group.device)
        return model.backbone(batch).float().cpu().numpy()

    mine = dict(each_batch(features_of, memory, group, is_sharded(model)))
    features = torch.from_numpy(np.concatenate(of_all_ranks(mine, group)))
    targets = rows[torch.from_numpy(memory.targets)]
    means = means_of(features, targets, classes)
    return ClassMeans(means.vectors.to(group.device), means.absent.to(group.device))


def means_of(features: Tensor, targets: Tensor, classes: int) -> ClassMeans:
    """The means of (n, d) features with (n,) head rows."""
    units = normalize(features.double())
    vectors = torch.zeros(classes, units.shape[1], dtype=torch.float64)
    for row in targets.unique().tolist():
        vectors[row] = normalize(units[targets == row].mean(dim=0), dim=0)
    return ClassMeans(vectors.float(), torch.bincount(targets, minlength=classes) == 0)

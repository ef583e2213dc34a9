"""The evaluation step of a stage: accuracy on the test samples of every class seen so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import BATCH_SIZE, each_batch, of_all_ranks
from dist_mcl.training.zero3 import is_sharded


@torch.no_grad()
def predict(
    model: Classifier,
    samples: Sequence[Sample],
    rows: Tensor,
    group: ProcessGroup,
    progress: ProgressFile,
    classify: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Target and predicted head rows of every sample, in the samples' order, on every rank.

    Args:
        classify: (B, d) pooled features to (B, classes) scores; the model's head when left out.

    Returns:
        two (n,) int64 tensors on the CPU.
    """
    model.eval()

    scores = classify or model.head

    def targets_and_predictions(chunk: list[Sample]) -> tuple[list[int], list[int]]:
        batch = Batch.collate(model.backbone.prepare(chunk)).to(group.device)
        return rows[batch.targets.cpu()].tolist(), scores(model.backbone(batch)).argmax(dim=1).tolist()

    mine: dict[int, tuple[list[int], list[int]]] = {}
    for number, found in each_batch(targets_and_predictions, samples, group, is_sharded(model)):
        mine[number] = found
        progress.update("evaluate", min((number + 1) * BATCH_SIZE, len(samples)), len(samples), number * BATCH_SIZE)
    chunks = of_all_ranks(mine, group)
    targets = [target for targets, _ in chunks for target in targets]
    predictions = [prediction for _, predictions in chunks for prediction in predictions]
    return torch.tensor(targets), torch.tensor(predictions)

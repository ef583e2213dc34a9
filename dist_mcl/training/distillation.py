"""Earlier models as teachers: what they answered, and how far the model in training is from that.

The model of the stage before is asked before the first step. At that moment it is the model itself, but for the head's
new rows, so there is no second copy of anything, and all that it will ever be asked is known: the batches are a
function of the seed. A stage that was interrupted asks again, from the same files, and gets the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from dist_mcl.exemplars.replay import Entry, Replayed
from dist_mcl.retention_config import Distillation
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.learner import Pool, Teacher
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.samples import LazySamples
from dist_mcl.training.sharding import each_batch
from dist_mcl.training.zero3 import callable_in_parts, is_sharded


def find_teacher(
    model: Classifier, pool: Pool, batches: Sequence[Sequence[Entry]], config: Distillation, group: ProcessGroup
) -> Teacher | None:
    """Who teaches a stage; None where there is nobody yet. All ranks must call this, before the first step.

    Args:
        model: as the stage before left it, its head grown.
        batches: all that will be learned.
    """
    if config.teacher == "previous" and model.head.old_rows:
        entries = list(dict.fromkeys(entry for batch in batches for entry in batch))
        logits = _ask(model, Asked(pool, entries), group)
        return PreviousModel(dict(zip(entries, range(len(entries)), strict=True)), logits, config.temperature)
    if config.teacher == "stored" and pool.memory:
        return StoredLogits.of(pool.memory, len(model.head.weight)).to(group.device)
    return None


@dataclass(frozen=True)
class Asked(LazySamples):
    """The samples of entries, read when they are asked for: a stage's may be more than fit into memory."""

    pool: Pool
    entries: Sequence[Entry]

    def __len__(self) -> int:
        return len(self.entries)

    def sample(self, index: int) -> Sample:
        return self.pool[self.entries[index]]


@torch.no_grad()
def _ask(model: Classifier, samples: Sequence[Sample], group: ProcessGroup) -> Tensor:
    """(n, old rows) logits of all samples, on the group's device; the ranks share the work and every rank gets all."""
    old = model.head.old_rows
    model.eval()

    def answers(chunk: list[Sample]) -> NDArray[np.float32]:
        return model(Batch.collate(chunk).to(group.device))[:, :old].float().cpu().numpy()

    with callable_in_parts(model):
        mine = dict(each_batch(answers, samples, group, is_sharded(model)))
        chunks = {number: chunk for share in group.gather(mine) for number, chunk in share.items()}
    return torch.from_numpy(np.concatenate([chunks[number] for number in sorted(chunks)])).to(group.device)


@dataclass(frozen=True)
class PreviousModel:
    """Soft targets from the model of the stage before, on fresh samples and exemplars alike.

    Learning without forgetting (arXiv 1606.09282) with the loss of arXiv 1503.02531.

    Attributes:
        places: row of `logits` of each entry.
        logits: (entries, old classes) fp32.
        temperature: T.
    """

    places: dict[Entry, int]
    logits: Tensor
    temperature: float

    def __call__(self, entries: Sequence[Entry], logits: Tensor) -> Tensor:
        """T^2 times the divergence, from teacher to student, of the old classes' probabilities at temperature T.

        Args:
            entries: of a micro-batch.
            logits: (B, classes) of the model in training.
        """
        teacher = self.logits[[self.places[entry] for entry in entries]]
        student = log_softmax(logits[:, : teacher.shape[1]].float() / self.temperature, dim=1)
        target = log_softmax(teacher / self.temperature, dim=1)
        return self.temperature**2 * kl_div(student, target, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class StoredLogits:
    """The logits that each exemplar's own stage kept with it: the dark experience of arXiv 2004.07211.

    They were given to the whole sample. An exemplar that comes with another one's text has no logits, nor has a fresh
    sample, nor a class that came after the exemplar.

    Attributes:
        logits: (exemplars, classes) fp32, 0 where not known.
        known: (exemplars, classes) 1 where known, else 0.
    """

    logits: Tensor
    known: Tensor

    @classmethod
    def of(cls, memory: Sequence[Sample], classes: int) -> StoredLogits:
        """What exemplars carry.

        Raises:
            ValueError: one carries none.
        """
        logits, known = torch.zeros(len(memory), classes), torch.zeros(len(memory), classes)
        for row, sample in enumerate(memory):
            if sample.logits is None:
                raise ValueError(f"exemplar {sample.id} of stage {sample.stage} carries no logits")
            logits[row, : len(sample.logits)] = torch.from_numpy(sample.logits).float()
            known[row, : len(sample.logits)] = 1
        return cls(logits, known)

    def to(self, device: torch.device) -> StoredLogits:
        """The same on a device."""
        return StoredLogits(self.logits.to(device), self.known.to(device))

    def __call__(self, entries: Sequence[Entry], logits: Tensor) -> Tensor:
        """The squared difference, mean over the classes that are known, summed and divided by all B entries.

        Args:
            entries: of a micro-batch.
            logits: (B, classes) of the model in training.
        """
        taught = [
            (row, entry.index)
            for row, entry in enumerate(entries)
            if isinstance(entry, Replayed) and entry.text == entry.index
        ]
        rows, exemplars = [row for row, _ in taught], [exemplar for _, exemplar in taught]
        known = self.known[exemplars]
        squares = known * (logits[rows].float() - self.logits[exemplars]) ** 2
        return (squares.sum(dim=1) / known.sum(dim=1)).sum() / len(entries)

"""What is minimised where answers are learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import kl_div, log_softmax

from dist_mcl.backbones.language import Answered
from dist_mcl.exemplars.replay import Entry
from dist_mcl.retention_config import Distillation
from dist_mcl.tokens import Batch
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.learner import Pool


@dataclass(frozen=True)
class PreviousAnswers:
    """The answers of the model of the stage before, word by word, as soft targets.

    Learning without forgetting (arXiv 1606.09282) with the loss of arXiv 1503.02531. That model is the one in training
    with other values of what trains; these are kept, and swapped in for a forward pass of each micro-batch. What it
    says is not kept: at every token of an answer that is a number for each word of the language model.

    Attributes:
        parameters: what trains, by its name in the model, as it was.
        temperature: T.
        weight: factor of the loss.
    """

    model: Answerer
    parameters: Mapping[str, Tensor]
    temperature: float
    weight: float

    @classmethod
    def of(cls, model: Answerer, config: Distillation) -> PreviousAnswers:
        """Of a model as the stage before left it, the new modality begun; call it before any parameter changes."""
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        kept = {name: value.detach().clone() for name, value in trained.items()}
        return cls(model, kept, config.temperature, config.weight)

    def __call__(self, batch: Batch, logits: Tensor) -> Tensor:
        """T^2 times the divergence, from teacher to student, of words' probabilities at temperature T, times weight.

        Args:
            logits: (n, words) of the model in training, at each token of the batch's answers; the mean is over these.
        """
        with torch.no_grad():
            said: Answered = functional_call(self.model, dict(self.parameters), (batch,))
        student, teacher = (log_softmax(one / self.temperature, dim=1) for one in (logits, said.logits))
        divergence = kl_div(student, teacher, reduction="batchmean", log_target=True)
        return self.weight * self.temperature**2 * divergence


@dataclass(frozen=True)
class AnswerLoss:
    """Cross-entropy of the answers' tokens, the mean over all of a micro-batch. Prompts carry no loss.

    Attributes:
        teacher: the model of the stage before, where that teaches.
        anchor: how far what is shared has moved from what it was, where that is held; the same for every micro-batch.
    """

    pool: Pool
    device: torch.device
    teacher: PreviousAnswers | None = None
    anchor: Callable[[], Tensor] | None = None

    def __call__(self, forward: Callable[[Batch], Answered], entries: Sequence[Entry]) -> Tensor:
        """Mean loss of a micro-batch; `forward` is an `Answerer`'s."""
        batch = Batch.collate([self.pool[entry] for entry in entries]).to(self.device)
        found = forward(batch)
        loss = found.surprise.sum() / found.counts.sum()
        if self.teacher is not None:
            loss = loss + self.teacher(batch, found.logits)
        return loss if self.anchor is None else loss + self.anchor()

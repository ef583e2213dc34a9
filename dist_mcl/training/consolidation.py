"""What holds the weights that modalities share to what they were: L2, and elastic weight consolidation (EWC).

The loss of a stage is that of its answers, and

    weight / 2 * sum over k of F_k (w_k - a_k)^2

a is what the stage before has left. F is 1 for L2. For EWC (arXiv 1612.00796) it is the diagonal of the Fisher
information, estimated at the end of a stage from its own samples, with the answers in the data (the empirical Fisher):

    F_k = mean over samples of (d log p(answer | media, question) / d w_k)^2

Over the stages it adds up, and one anchor, the newest, stands for all of them: online EWC, arXiv 1805.06370 section
3.2, F = decay * F of the stages before + F of this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dist_mcl.errors import UserError
from dist_mcl.retention_config import Consolidation
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.gradients import gradient_vector, tree_sum
from dist_mcl.training.process_group import ProcessGroup

_FILE = "fisher.safetensors"

Importance = dict[str, Tensor]


@dataclass(frozen=True)
class Anchor:
    """How far weights are from where they were.

    Attributes:
        parameters: in training.
        places: where each of them was.
        importance: F of each of them; 1 where None.
        weight: factor of half the sum.
    """

    parameters: Sequence[nn.Parameter]
    places: Sequence[Tensor]
    importance: Sequence[Tensor | None]
    weight: float

    def __call__(self) -> Tensor:
        """The penalty, fp32, with a gradient for the parameters."""
        sums = []
        for parameter, place, importance in zip(self.parameters, self.places, self.importance, strict=True):
            squares = (parameter - place) ** 2
            sums.append((squares if importance is None else importance * squares).sum())
        return self.weight / 2 * torch.stack(sums).sum()


def find_anchor(model: Answerer, config: Consolidation, before: Importance) -> Anchor | None:
    """What a stage is held to; None where there is nothing. Call it before any parameter changes.

    Args:
        model: as the stage before left it, the new modality begun, on its device.
        before: what that stage's folder says of importance; of EWC alone.
    """
    if config.kind == "none":
        return None
    shared = model.shared()
    importance: list[Tensor | None]
    if config.kind == "l2":
        names, importance = list(shared), [None] * len(shared)
    else:
        names = [name for name in shared if name in before]
        importance = [before[name].to(shared[name].device) for name in names]
    if not names:
        return None
    parameters = [shared[name] for name in names]
    places = [parameter.detach().clone() for parameter in parameters]
    return Anchor(parameters, places, importance, config.weight)


def importance_after(
    model: Answerer, samples: Sequence[Sample], config: Consolidation, before: Importance, group: ProcessGroup
) -> Importance:
    """F of what is shared, after a stage, by name; the same bits on every rank, however many there are.

    Args:
        samples: of the stage, prepared.
        before: F after the stage before; empty after the first one.
    """
    model.eval()
    shared = model.shared()
    count = min(config.samples, len(samples))
    chosen = [place * len(samples) // count for place in range(count)]

    def squares(number: int) -> Tensor:
        found = model(Batch.collate([samples[chosen[number]]]).to(group.device))
        return gradient_vector(found.surprise.sum(), list(shared.values())) ** 2

    means = (tree_sum(squares, count, group) / count).split([value.numel() for value in shared.values()])
    new = {name: mean.view(value.shape) for (name, value), mean in zip(shared.items(), means, strict=True)}
    old = {name: config.decay * value.to(group.device) for name, value in before.items()}
    return {**old, **{name: old[name] + value if name in old else value for name, value in new.items()}}


def save_importance(importance: Mapping[str, Tensor], folder: Path) -> None:
    """Write F beside what a stage has trained."""
    save_file({name: value.cpu().contiguous() for name, value in importance.items()}, folder / _FILE)


def load_importance(folder: Path) -> Importance:
    """What `save_importance` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return load_file(folder / _FILE)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / _FILE}: cannot be read ({error}); bring it back, or begin another run") from error

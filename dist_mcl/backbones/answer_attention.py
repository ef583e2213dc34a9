"""What masks of questions are made from: how much right answers attend to each media token, in one layer.

The class token of an encoder has read everything; in a decoder, the places that predict an answer have. Their rows of
one layer's attention are computed beside the model's own, whatever decoder of Hugging Face's that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from dist_mcl.config import AttentionScores
from dist_mcl.errors import UserError

_TAPPED = "tapped"


@dataclass
class Tap:
    """What is asked of one layer, and what it said.

    Attributes:
        layer: its attention module.
        asking: (B, L) bool: places whose rows are averaged.
        visible: (B, L) bool: places that are no padding.
        found: of each sample, (L,) fp32 how much it is attended to, whatever precision the model computes in.
    """

    layer: nn.Module
    asking: Tensor
    visible: Tensor
    how: AttentionScores
    found: list[Tensor] = field(default_factory=list)

    def listen(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> None:
        """Queries (B, heads, L, width), keys and values (B, fewer heads, L, width), positions already in them."""
        groups = query.shape[1] // key.shape[1]
        norms = value.float().norm(dim=-1).repeat_interleave(groups, 1)
        for sample, (asking, visible) in enumerate(zip(self.asking, self.visible, strict=True)):
            rows = asking.nonzero()[:, 0]
            with torch.autocast(query.device.type, enabled=False):  # it would make the product bf16
                scores = query[sample][:, rows].float() @ key[sample].float().repeat_interleave(groups, 0).mT * scaling
            seen = visible & (torch.arange(len(visible), device=rows.device) <= rows[:, None])
            weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
            if self.how.value_norms:
                weights = weights * norms[sample][:, None]
            over_heads = weights.mean(0) if self.how.heads == "mean" else weights.amax(0)
            self.found.append(over_heads.mean(0))


_TAP: ContextVar[Tap | None] = ContextVar("tap", default=None)


@contextmanager
def tapped(model: PreTrainedModel, tap: Tap) -> Iterator[None]:
    """One call of the model inside leaves in the tap what its layer attends to."""
    before = model.config._attn_implementation
    model.set_attn_implementation(_TAPPED)
    token = _TAP.set(tap)
    try:
        yield
    finally:
        _TAP.reset(token)
        model.set_attn_implementation(before)


def attention_layer(decoder: nn.Module, number: int) -> nn.Module:
    """The attention of a decoder's layer, from 0 or negative from the end.

    Raises:
        UserError: there is no such layer.
    """
    layers = [module for module in decoder.modules() if "Attention" in type(module).__name__]
    if not -len(layers) <= number < len(layers):
        raise UserError(
            f"exemplars.scores.layer: {number}, but the language model has {len(layers)} layers; choose 0 to "
            f"{len(layers) - 1}, or -{len(layers)} to -1 counted from the end"
        )
    return layers[number]


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    tap = _TAP.get()
    if tap is not None and module is tap.layer:
        tap.listen(query, key, value, options.get("scaling") or query.shape[-1] ** -0.5)
    found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return found


AttentionInterface.register(_TAPPED, _attend)
AttentionMaskInterface.register(_TAPPED, sdpa_mask)

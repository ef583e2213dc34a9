"""Ragged sequences packed one after the other, and attention that stays within each of them.

Every layer that works token by token runs on the packed tokens; only attention pads, and only to the longest sequence
of the batch. Registered with transformers as the attention implementation "packed".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "packed"


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a packed batch of B sequences are.

    Attributes:
        sequence: (T,) int64, ascending: the sequence of each token.
        slots: (T,) int64, row of each token in the padded batch, seen as (B * longest) rows.
        visible: (B, longest) bool, the padded batch's rows that may be attended to.
    """

    sequence: Tensor
    slots: Tensor
    visible: Tensor

    @classmethod
    def of(cls, sequence: Tensor, count: int) -> Layout:
        """The layout of `count` sequences, each with at least one token, from the sequence of each token."""
        lengths = torch.bincount(sequence, minlength=count)
        longest = int(lengths.max())
        starts = lengths.cumsum(0) - lengths
        within = torch.arange(len(sequence), device=sequence.device) - starts[sequence]
        visible = torch.arange(longest, device=sequence.device) < lengths[:, None]
        return cls(sequence, sequence * longest + within, visible)

    def pad(self, packed: Tensor) -> Tensor:
        """(T, ...) to (B, longest, ...), zeros where there is no token."""
        rows = packed.new_zeros(self.visible.numel(), *packed.shape[1:])
        return rows.index_copy(0, self.slots, packed).view(*self.visible.shape, *packed.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """(B, longest, ...) to (T, ...): the inverse of `pad`."""
        return padded.flatten(0, 1).index_select(0, self.slots)


def attention_weights(query: Tensor, key: Tensor, visible: Tensor, scaling: float) -> Tensor:
    """Softmax over the visible keys.

    Args:
        query: (B, heads, m, width).
        key: (B, heads, longest, width).
        visible: (B, longest) bool.

    Returns:
        (B, heads, m, longest).
    """
    scores = (query @ key.transpose(-1, -2)) * scaling
    return scores.masked_fill(~visible[:, None, None, :], float("-inf")).softmax(-1)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    layout: Layout,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention within each sequence of a packed batch; (1, heads, T, width) in, (1, T, heads, width) out."""
    if attention_mask is not None:
        raise ValueError("packed attention reads its mask from the layout")
    query, key, value = (layout.pad(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
    weights = attention_weights(query, key, layout.visible, scaling)
    mixed = (weights.to(value.dtype) @ value).transpose(1, 2)
    return layout.unpad(mixed)[None], None


AttentionInterface.register(ATTENTION, packed_attention)

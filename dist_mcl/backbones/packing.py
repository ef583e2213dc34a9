"""Ragged sequences packed one after the other, and attention that stays within each of them.

Every layer that works token by token runs on the packed tokens; only attention pads. Sequences of about equal length
are padded together, so that none brings more than `_BUCKET - 1` places of padding with it. Registered with transformers
as the attention implementation "packed".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "packed"
_BUCKET = 64  # lengths 1 to 64 are padded together, 65 to 128, and so on


@dataclass(frozen=True)
class Bucket:
    """Sequences of about equal length in one padded batch (b, longest).

    Attributes:
        tokens: (t,) int64, which of the packed tokens are in it; None where all are.
        slots: (t,) int64, row of each of them in the padded batch, seen as (b * longest) rows.
        visible: (b, longest) bool, the padded batch's rows that may be attended to.
    """

    tokens: Tensor | None
    slots: Tensor
    visible: Tensor

    def pad(self, packed: Tensor) -> Tensor:
        """(T, ...) to (b, longest, ...), zeros where there is no token."""
        mine = packed if self.tokens is None else packed.index_select(0, self.tokens)
        rows = packed.new_zeros(self.visible.numel(), *packed.shape[1:])
        return rows.index_copy(0, self.slots, mine).view(*self.visible.shape, *packed.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """(b, longest, ...) to (t, ...): the tokens of this bucket."""
        return padded.flatten(0, 1).index_select(0, self.slots)


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a packed batch of B sequences are.

    Attributes:
        sequence: (T,) int64, ascending: the sequence of each token.
        buckets: the sequences, shortest first.
        taps: where attention leaves its weights, one (b, heads, longest, longest) for each bucket, if anybody asks.
    """

    sequence: Tensor
    buckets: tuple[Bucket, ...]
    taps: list[Tensor] | None = None

    @classmethod
    def of(cls, sequence: Tensor, count: int) -> Layout:
        """The layout of `count` sequences, each with at least one token, from the sequence of each token."""
        lengths = torch.bincount(sequence, minlength=count)
        kinds = (lengths - 1) // _BUCKET
        starts = lengths.cumsum(0) - lengths
        within = torch.arange(len(sequence), device=sequence.device) - starts[sequence]
        present = kinds.unique().tolist()
        if len(present) == 1:
            return cls(sequence, (_bucket(None, sequence, within, lengths),))
        buckets = []
        for kind in present:
            is_here = kinds == kind
            tokens = is_here[sequence].nonzero()[:, 0]
            rows = is_here.cumsum(0) - 1
            buckets.append(_bucket(tokens, rows[sequence[tokens]], within[tokens], lengths[is_here]))
        return cls(sequence, tuple(buckets))

    def tapped(self) -> Layout:
        """The same layout, with an empty list of taps."""
        return replace(self, taps=[])

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """(T, ...) from what each bucket's `unpad` gave."""
        if len(parts) == 1:
            return parts[0]
        places = torch.cat([bucket.tokens for bucket in self.buckets if bucket.tokens is not None])
        joined = torch.cat(list(parts))
        return torch.empty_like(joined).index_copy(0, places, joined)


def _bucket(tokens: Tensor | None, rows: Tensor, within: Tensor, lengths: Tensor) -> Bucket:
    longest = int(lengths.max())
    visible = torch.arange(longest, device=lengths.device) < lengths[:, None]
    return Bucket(tokens, rows * longest + within, visible)


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


class HeadProjections(Protocol):
    """The linear maps of an attention layer, as transformers' encoders name them."""

    attention_head_size: int

    @property
    def query(self) -> nn.Module: ...
    @property
    def key(self) -> nn.Module: ...
    @property
    def value(self) -> nn.Module: ...


def split_heads(attention: HeadProjections, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (T, heads, width) of packed states (T, hidden_size)."""
    query, key, value = (
        project(hidden).view(len(hidden), -1, attention.attention_head_size)
        for project in (attention.query, attention.key, attention.value)
    )
    return query, key, value


def packed_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float) -> Tensor:
    """Attention within each sequence of a packed batch; all are (T, heads, width), and so is the result."""
    parts = []
    for bucket in layout.buckets:
        q, k, v = (bucket.pad(part).transpose(1, 2) for part in (query, key, value))
        weights = attention_weights(q, k, bucket.visible, scaling)
        if layout.taps is not None:
            layout.taps.append(weights)
        parts.append(bucket.unpad((weights.to(v.dtype) @ v).transpose(1, 2)))
    return layout.join(parts)


def _for_transformers(
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
    """`packed_attention` as transformers calls it; (1, heads, T, width) in, (1, T, heads, width) out."""
    if attention_mask is not None:
        raise ValueError("packed attention reads its mask from the layout")
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    return packed_attention(query, key, value, layout, scaling)[None], None


AttentionInterface.register(ATTENTION, _for_transformers)

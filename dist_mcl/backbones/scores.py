"""What masks are made from: how much the class token, and the picture's tokens, attend to each token.

Only the rows that are asked for are computed, those of the class token and of the picture's tokens in one layer;
rollout and gradient need whole maps, and hold those of one layer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from dist_mcl.backbones.packing import Layout
from dist_mcl.config import GradientScores, RolloutScores, Scores
from dist_mcl.tokens import Batch, TokenScores

if TYPE_CHECKING:
    from dist_mcl.backbones.backbone import Backbone, Sequences

Heads = Literal["mean", "max"]


@torch.no_grad()
def token_scores(
    backbone: Backbone, batch: Batch, how: Scores, head: Callable[[Tensor], Tensor] | None
) -> list[TokenScores]:
    """Class scores and cross scores of every sample.

    Every row is a softmax over the whole sequence, so a sample's class scores sum to less than 1: the special tokens
    take their share, and are then left out.

    * attention: row of the class token in one layer, mean or maximum over its heads; on request each weight is
      multiplied by the norm of the token's value vector (arXiv 2004.10102), so that a sink, which is attended to
      because it says nothing, counts for nothing.
    * rollout (arXiv 2005.00928): row of the class token in the product of (A + 1) / 2 over all layers.
    * gradient (arXiv 2103.15679, equation 5): positive part of attention times the gradient of the largest logit, mean
      over heads.

    Cross scores are attention in all three: of one layer, the last one for rollout.

    Args:
        head: logits (B, classes) from pooled features; gradient scores need it.

    Raises:
        ValueError: gradient scores without a head.
        IndexError: no such layer.
    """
    layer = -1 if isinstance(how, RolloutScores) else how.layer
    block = backbone.blocks[layer]
    with backbone.autocast():
        hidden, sequences = backbone.embed(batch)
        entering = hidden
        for earlier in backbone.blocks[: backbone.blocks.index(block)]:
            entering = backbone.run_block(earlier, entering, sequences.layout)
        parts = [part.float() for part in backbone.attention_parts(block, entering)]
    found = [_rows(parts, sequences, row, batch, how) for row in range(len(batch))]
    if isinstance(how, RolloutScores):
        found = _with_class_row(found, _rollout(backbone, hidden, sequences.layout, how.heads), batch, sequences)
    elif isinstance(how, GradientScores):
        if head is None:
            raise ValueError("gradient scores need the head whose logits they explain")
        found = _with_class_row(found, _gradient(backbone, layer, entering, sequences, head), batch, sequences)
    return found


def _rows(parts: list[Tensor], sequences: Sequences, row: int, batch: Batch, how: Scores) -> TokenScores:
    """Attention of one sample's class token and picture tokens, from queries, keys and values of all."""
    mine = (sequences.layout.sequence == row).nonzero()[:, 0]
    own = dict(_own(sequences, row, batch))
    asking = torch.cat([mine[:1], own.get("image", mine[:0])])
    query, key = parts[0][asking].transpose(0, 1), parts[1][mine].transpose(0, 1)
    weights = ((query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5).softmax(-1)
    if how.kind == "attention" and how.value_norms:
        weights = weights * parts[2][mine].norm(dim=-1).T[:, None]
    heads: Heads = "mean" if how.kind == "gradient" else how.heads
    table = _over_heads(weights, heads)
    columns = {name: places - mine[0] for name, places in own.items()}
    words = columns.get("text", mine[:0])
    return TokenScores(
        class_scores={name: table[0, places].cpu().numpy() for name, places in columns.items()},
        cross=table[1:, words].cpu().numpy(),
    )


def _own(sequences: Sequences, row: int, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    for name in ("image", "text"):
        if name in batch.tokens:
            places = sequences.places[name][batch.tokens[name].sample == row]
            if len(places):
                yield name, places


def _with_class_row(found: list[TokenScores], values: Tensor, batch: Batch, sequences: Sequences) -> list[TokenScores]:
    """The scores with those of the class token taken from `values` (T,)."""
    return [
        TokenScores({name: values[places].cpu().numpy() for name, places in _own(sequences, row, batch)}, old.cross)
        for row, old in enumerate(found)
    ]


def _rollout(backbone: Backbone, hidden: Tensor, layout: Layout, heads: Heads) -> Tensor:
    """(T,) share of each token in what its class token has gathered after the last layer."""
    flows = [torch.eye(bucket.visible.shape[1], device=hidden.device) for bucket in layout.buckets]
    with backbone.autocast():
        for block in backbone.blocks:
            tapped = layout.tapped()
            hidden = backbone.run_block(block, hidden, tapped)
            weights = [_over_heads(tap.float(), heads) for tap in tapped.taps or ()]
            shares = [weight / weight.sum(-1, keepdim=True) for weight in weights]  # a maximum does not sum to 1
            flows = [((share @ flow) + flow) / 2 for share, flow in zip(shares, flows, strict=True)]
    return layout.join([bucket.unpad(flow[:, 0]) for bucket, flow in zip(layout.buckets, flows, strict=True)])


def _gradient(
    backbone: Backbone, layer: int, entering: Tensor, sequences: Sequences, head: Callable[[Tensor], Tensor]
) -> Tensor:
    """(T,) what the class token's attention in one layer does for the largest logit."""
    blocks, layout, tapped = backbone.blocks, sequences.layout, sequences.layout.tapped()
    at = blocks.index(blocks[layer])
    with torch.enable_grad(), backbone.autocast():
        hidden = backbone.run_block(blocks[at], entering.detach().requires_grad_(), tapped)
        for block in blocks[at + 1 :]:
            hidden = backbone.run_block(block, hidden, layout)
        largest = head(backbone.pool(backbone.finish(hidden), sequences)).max(1).values.sum()
        weights = tapped.taps or []
        gradients = torch.autograd.grad(largest, weights)
    rows = [(weight * slope)[:, :, 0].clamp(min=0).mean(1) for weight, slope in zip(weights, gradients, strict=True)]
    return layout.join([bucket.unpad(row) for bucket, row in zip(layout.buckets, rows, strict=True)]).float()


def _over_heads(weights: Tensor, heads: Heads) -> Tensor:
    # (..., heads, m, n) to (..., m, n)
    return weights.mean(-3) if heads == "mean" else weights.amax(-3)

"""What every single-stream backbone is: packed sequences through one encoder, with attention that masks are made from.

A sample's tokens, whichever it has, stand in one sequence with the special tokens that the backbone adds, the class
token first. Tokens that a batch does not hold cost nothing: linear layers run on the packed tokens, and attention pads
only to sequences of about equal length.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dist_mcl.backbones import scores
from dist_mcl.backbones.frozen import FrozenModel
from dist_mcl.backbones.packing import Layout
from dist_mcl.config import AttentionScores, Scores
from dist_mcl.tokens import Batch, TokenScores

ATTENTION_SCORES = AttentionScores()


@dataclass(frozen=True)
class Sequences:
    """The token sequences of a batch of B samples, packed.

    Attributes:
        layout: where each of the T tokens is; sequence b is sample b.
        places: by modality, (n,) int64: index among the T tokens of each of the batch's tokens, in the batch's order.
            "class" has the B class tokens, each the first of its sequence.
    """

    layout: Layout
    places: dict[str, Tensor]

    @classmethod
    def of(cls, parts: dict[str, tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Sequences]:
        """Pack embedded tokens into `count` sequences.

        Args:
            parts: by modality, the sample of each token (n,), ascending, and its embedding (n, width); in the order of
                a sequence.

        Returns:
            the embeddings (T, width), and where each is.
        """
        owners = torch.cat([owner for owner, _ in parts.values()])
        order = owners.argsort(stable=True)  # keeps the parts' order within each sample
        places = torch.empty_like(order).index_copy(0, order, torch.arange(len(order), device=order.device))
        split = places.split([len(owner) for owner, _ in parts.values()])
        hidden = torch.cat([embedded for _, embedded in parts.values()])[order]
        return hidden, cls(Layout.of(owners[order], count), dict(zip(parts, split, strict=True)))


class Backbone(FrozenModel):
    """A single-stream encoder.

    Attributes:
        hidden_size: width of the pooled features.
        pooler: the last linear map, trained together with the adapter.
    """

    hidden_size: int
    pooler: nn.Linear

    @property
    @abstractmethod
    def adapter_targets(self) -> list[str]:
        """Names of the linear and normalisation layers that adapters go on: SSF's places, arXiv 2210.08823."""

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """The encoder's layers."""

    @abstractmethod
    def embed(self, batch: Batch) -> tuple[Tensor, Sequences]:
        """Token embeddings (T, hidden_size) of all sequences, packed, and where each token is.

        Raises:
            ValueError: a text or a picture that the position tables do not hold.
        """

    @abstractmethod
    def run_block(self, block: nn.Module, hidden: Tensor, layout: Layout) -> Tensor:
        """One of `blocks`; (T, hidden_size) in and out."""

    @abstractmethod
    def attention_parts(self, block: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a block, each (T, heads, width), from what goes into the block."""

    def finish(self, hidden: Tensor) -> Tensor:
        """What comes between the last block and the pooler."""
        return hidden

    def keeps_fp32(self, name: str) -> bool:
        return name.startswith("pooler.")

    def encode(self, hidden: Tensor, layout: Layout) -> Tensor:
        """Run the encoder on packed embeddings; (T, hidden_size) in and out."""
        for block in self.blocks:
            hidden = self.run_block(block, hidden, layout)
        return self.finish(hidden)

    def forward(self, batch: Batch) -> Tensor:
        """Pooled features (B, hidden_size) in fp32: the class token's last state through a linear map and tanh."""
        with self.autocast():
            hidden, sequences = self.embed(batch)
            return self.pool(self.encode(hidden, sequences.layout), sequences)

    def pool(self, hidden: Tensor, sequences: Sequences) -> Tensor:
        """(B, hidden_size) from the encoder's output (T, hidden_size)."""
        return torch.tanh(self.pooler(hidden[sequences.places["class"]]).float())

    def token_scores(
        self, batch: Batch, how: Scores = ATTENTION_SCORES, head: Callable[[Tensor], Tensor] | None = None
    ) -> list[TokenScores]:
        """How much attention each sample's tokens get, arXiv 2412.09549; see `dist_mcl.backbones.scores`.

        Args:
            head: logits (B, classes) from pooled features; gradient scores need it.
        """
        return scores.token_scores(self, batch, how, head)

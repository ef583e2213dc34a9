"""Backbones with an entry for each modality after its encoder, and one connector for all before the language model.

As PathWeave's modalities share a Q-Former (arXiv 2410.20178), these share the connector: adapters on its linear maps,
and on the decoder's where a modality's tokens are, teach it new modalities. A token that was dropped ends before the
entry, and costs nothing after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.tokens import Batch, PackedTokens


class ConnectorEntry(nn.Module):
    """What brings one encoder's features to the connector's width."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.lift = nn.Linear(features, width) if features != width else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(n, features) to (n, width)."""
        return self.lift(self.norm(features))


class ConnectingBackbone(EncodingBackbone):
    """What is called "connector" in `roles` takes features one by one.

    Args:
        model: the language model.
        prompter: for its tokenizer.
        encoders: by modality, in the order of a prompt.
        width: of what the connector takes, to which the entries bring all features.
    """

    def __init__(
        self, model: PreTrainedModel, prompter: Prompter, encoders: Mapping[str, MediaEncoder], width: int
    ) -> None:
        super().__init__(model, prompter, encoders)
        self.entries = nn.ModuleDict(
            {name: ConnectorEntry(encoder.features, width) for name, encoder in encoders.items()}
        )

    def own_modules(self, modality: str) -> list[str]:
        return [f"entries.{modality}", *super().own_modules(modality)]

    def begin_as(self, modality: str, previous: str) -> None:
        new, old = self.entries[modality], self.entries[previous]
        shapes = [{name: value.shape for name, value in entry.state_dict().items()} for entry in (new, old)]
        if shapes[0] == shapes[1]:
            new.load_state_dict(old.state_dict())

    def cells(self, modality: str, positions: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        return self._encoder(modality).cells(positions, grid)

    def tokens(self, modality: str, features: PackedTokens, batch: Batch) -> MediaTokens:
        with self.paths.of(modality):
            embeddings = self.roles["connector"](self.entries[modality](features.values.float()))
        return MediaTokens(embeddings, features.sample, features.positions, features.grids)

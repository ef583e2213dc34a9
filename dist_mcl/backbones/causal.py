"""Backbone `causal`: encoders, a connector, and a frozen decoder-only language model; no Q-Former.

Each modality has an encoder and an entry of its own, and all share the connector, as PathWeave's modalities share a
Q-Former (arXiv 2410.20178): adapters on its linear maps, and on the decoder's where a modality's tokens are, teach it
new modalities. A token that was dropped ends before the entry, and costs nothing after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.language import word_embeddings
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


class Connector(nn.Module):
    """LLaVA's two linear maps (arXiv 2310.03744); what it gives is about as large as the language model's embeddings.

    Args:
        width, inner, hidden_size: of what comes in, of the layer between, and of the language model.
        scale: standard deviation of the language model's embeddings.
    """

    def __init__(self, width: int, inner: int, hidden_size: int, scale: float) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, inner)
        self.linear_2 = nn.Linear(inner, hidden_size)
        self._scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) to (n, hidden_size)."""
        return self.linear_2(nn.functional.gelu(self.linear_1(features))) * self._scale


class CausalBackbone(EncodingBackbone):
    """Everything but the language model and the pretrained encoders may train; who attaches adapters says what does.

    Args:
        model: the language model.
        prompter: for its tokenizer.
        encoders: by modality, in the order of a prompt. The entries bring all features to the width of the first one's.
        inner: width of the connector's inner layer.
    """

    def __init__(
        self, model: PreTrainedModel, prompter: Prompter, encoders: Mapping[str, MediaEncoder], inner: int
    ) -> None:
        super().__init__(model, prompter, encoders)
        width = next(iter(encoders.values())).features
        self.entries = nn.ModuleDict(
            {name: ConnectorEntry(encoder.features, width) for name, encoder in encoders.items()}
        )
        words = word_embeddings(model)
        # Without values, on the meta device, they have no deviation.
        scale = 1.0 if words.is_meta else float(words.detach().float().std())
        self.connector = Connector(width, inner, words.shape[1], scale)

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"connector": self.connector, "decoder": self.model.get_decoder()}

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
            embeddings = self.connector(self.entries[modality](features.values.float()))
        return MediaTokens(embeddings, features.sample, features.positions, features.grids)

"""Backbone `causal`: encoders, a connector, and a frozen decoder-only language model; no Q-Former.

Each modality has an encoder and an entry of its own, and all share the connector, as PathWeave's modalities share a
Q-Former (arXiv 2410.20178): adapters on its linear maps, and on the decoder's where a modality's tokens are, teach it
new modalities. A token that was dropped ends before the entry, and costs nothing after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.causal_encoders import MediaEncoder
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.tokens import Batch, PackedTokens, Sample, Tokens


_PREPARED = 2  # axes of features: tokens of media have more


class Entry(nn.Module):
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


class CausalBackbone(LanguageBackbone):
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
        super().__init__(model, prompter)
        width = next(iter(encoders.values())).features
        self.encoders = nn.ModuleDict(encoders)
        self.entries = nn.ModuleDict({name: Entry(encoder.features, width) for name, encoder in encoders.items()})
        words = model.get_input_embeddings().weight
        self.connector = Connector(width, inner, words.shape[1], float(words.detach().float().std()))
        for encoder in encoders.values():
            encoder.requires_grad_(not encoder.is_frozen)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.entries)

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"connector": self.connector, "decoder": self.model.get_decoder()}

    def own_modules(self, modality: str) -> list[str]:
        is_frozen = self._encoder(modality).is_frozen
        return [f"entries.{modality}", *([] if is_frozen else [f"encoders.{modality}"])]

    @property
    def preparing(self) -> nn.Module | None:
        frozen = [encoder for name in self.modalities if (encoder := self._encoder(name)).is_frozen]
        return nn.ModuleList(frozen) if frozen else None

    @torch.no_grad()
    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with tokens of frozen encoders replaced by their features, as float16 (n, features).

        All methods take prepared and raw samples, but one batch holds only one of the two.
        """
        return [replace(sample, tokens=self._prepared(sample)) for sample in samples]

    def media(self, batch: Batch) -> dict[str, MediaTokens]:
        """As in `LanguageBackbone`. Raises ValueError for a modality that the backbone lacks."""
        if unknown := sorted(set(batch.tokens) - set(self.modalities)):
            raise ValueError(f"the backbone has no modality {unknown[0]}; model.backbone.media names those it has")
        return {name: self._tokens(name, batch.tokens[name]) for name in self.modalities if name in batch.tokens}

    def _tokens(self, modality: str, raw: PackedTokens) -> MediaTokens:
        encoded = raw if raw.values.ndim == _PREPARED else self._encode(modality, raw)
        with self.paths.of(modality):
            embeddings = self.connector(self.entries[modality](encoded.values.float()))
        return MediaTokens(embeddings, encoded.sample, encoded.positions, encoded.grids.prod(1))

    def _encode(self, modality: str, raw: PackedTokens) -> PackedTokens:
        encoder = self._encoder(modality)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not encoder.is_frozen):
            return encoder(raw)

    def _prepared(self, sample: Sample) -> dict[str, Tokens]:
        packed = Batch.collate([sample]).to(self.device).tokens
        return {
            name: _tokens_of(self._encoder(name)(packed[name])) if self._is_waiting(name, tokens) else tokens
            for name, tokens in sample.tokens.items()
        }

    def _is_waiting(self, modality: str, tokens: Tokens) -> bool:
        """Whether a frozen encoder has not been through these tokens."""
        return modality in self.entries and self._encoder(modality).is_frozen and tokens.values.ndim != _PREPARED

    def _encoder(self, modality: str) -> MediaEncoder:
        encoder = self.encoders[modality]
        assert isinstance(encoder, MediaEncoder)
        return encoder


def _tokens_of(features: PackedTokens) -> Tokens:
    grid = tuple(features.grids[0].tolist())
    return Tokens(features.values.half().cpu().numpy(), features.positions.cpu().numpy(), grid)

"""Backbones with an encoder for each modality, before whatever brings its features to the language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from transformers import PreTrainedModel

from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch, PackedTokens, Sample, Tokens


class EncodingBackbone(LanguageBackbone):
    """What frozen encoders give is computed once, see `prepare`.

    Args:
        model: the language model.
        prompter: for its tokenizer.
        encoders: by modality, in the order of a prompt. Modalities may share one, which is then the same object.
    """

    def __init__(self, model: PreTrainedModel, prompter: Prompter, encoders: Mapping[str, MediaEncoder]) -> None:
        super().__init__(model, prompter)
        self.encoders = nn.ModuleDict(encoders)
        for encoder in encoders.values():
            encoder.requires_grad_(not encoder.is_frozen)

    @abstractmethod
    def tokens(self, modality: str, features: PackedTokens, batch: Batch) -> MediaTokens:
        """A modality's tokens for the language model, from what its encoder gives.

        Args:
            features: values (n, features).
            batch: whose features they are.
        """

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.encoders)

    def own_modules(self, modality: str) -> list[str]:
        return [] if self._encoder(modality).is_frozen else [f"encoders.{modality}"]

    def base_modules(self, modality: str) -> list[str]:
        own = [name.split(".")[0] for other in self.modalities for name in self.own_modules(other)]
        shared = [name for name in super().base_modules(modality) if name not in ("encoders", *own)]
        return [*shared, f"encoders.{modality}"] if self._encoder(modality).is_frozen else shared

    @property
    def preparing(self) -> nn.Module | None:
        frozen = [encoder for name in self.encoders if (encoder := self._encoder(name)).is_frozen]
        return nn.ModuleList(frozen) if frozen else None

    @torch.no_grad()
    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with tokens of frozen encoders replaced by their features, as float16 (n, features).

        All methods take prepared and raw samples, but a batch holds only one of the two of a modality.

        Raises:
            UserError: features that float16 does not hold.
        """
        return [self._prepared(sample) for sample in samples]

    def media(self, batch: Batch) -> dict[str, MediaTokens]:
        """As in `LanguageBackbone`. Raises ValueError for a modality that the backbone lacks."""
        if unknown := sorted(set(batch.tokens) - set(self.modalities)):
            raise ValueError(f"the backbone has no modality {unknown[0]}; scenario.stages name those it has")
        return {name: self._read(name, batch) for name in self.modalities if name in batch.tokens}

    def _read(self, modality: str, batch: Batch) -> MediaTokens:
        given = batch.tokens[modality]
        return self.tokens(modality, given if modality in batch.prepared else self._encode(modality, given), batch)

    def _encode(self, modality: str, raw: PackedTokens) -> PackedTokens:
        encoder = self._encoder(modality)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not encoder.is_frozen):
            return encoder(raw)

    def _prepared(self, sample: Sample) -> Sample:
        frozen = {name for name in self.encoders if name in sample.tokens and self._encoder(name).is_frozen}
        if not frozen - sample.prepared:
            return sample
        packed = Batch.collate([sample]).to(self.device).tokens
        features = {name: _kept(name, self._encoder(name)(packed[name])) for name in frozen - sample.prepared}
        return replace(sample, tokens={**sample.tokens, **features}, prepared=sample.prepared | frozen)

    def _encoder(self, modality: str) -> MediaEncoder:
        encoder = self.encoders[modality]
        assert isinstance(encoder, MediaEncoder)
        return encoder


def _kept(modality: str, features: PackedTokens) -> Tokens:
    values = features.values.half()
    if not values.isfinite().all():
        raise UserError(
            f"the encoder of {modality} gives {float(features.values.abs().max()):.3g}, and features are kept as "
            "float16, up to 65504; scale them down"
        )
    return Tokens(values.cpu().numpy(), features.positions.cpu().numpy(), tuple(features.grids[0].tolist()))

"""Backbone `qformer`: encoders, one Q-Former for all modalities, a projection, and a frozen language model.

The layout is InstructBLIP's (arXiv 2305.06500), Hugging Face's own Q-Former in it, and that of X-InstructBLIP
(arXiv 2311.18799) and PathWeave (arXiv 2410.20178) around it: each modality has query tokens, a norm of its encoder's
features and, where these are of another width, a map that lifts them to the Q-Former's. A clip's moments and a
recording's windows go through the Q-Former one by one, and their query tokens stand in a row before the language model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import InstructBlipQFormerModel, PreTrainedModel, PreTrainedTokenizerBase

from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.language import word_embeddings
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.tokens import Batch, PackedTokens

_EPSILON = 1e-6  # of the norm with which InstructBLIP's picture encoder ends
_LONGEST_INSTRUCTION = 128
_DEVIATION = 0.02  # of fresh query tokens, as of BERT's weights


class QFormerEntry(nn.Module):
    """What one modality has of its own before the Q-Former.

    Args:
        features: width of what its encoder gives.
        width: of what the Q-Former attends to.
        queries: number of query tokens.
        hidden_size: of the Q-Former.
        has_units: whether the first axis of the encoder's grid counts units, such as a clip's moments; otherwise
            all features are one unit.
    """

    def __init__(self, features: int, width: int, queries: int, hidden_size: int, has_units: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, eps=_EPSILON)
        self.lift = nn.Linear(features, width) if features != width else nn.Identity()
        self.queries = nn.Parameter(_DEVIATION * torch.randn(1, queries, hidden_size))
        self.has_units = has_units

    def begin(self, queries: Tensor, norm: nn.LayerNorm) -> None:
        """Take query tokens, and a norm where it is of this encoder's width."""
        with torch.no_grad():
            self.queries.copy_(queries)
            if self.norm.weight.shape == norm.weight.shape:
                self.norm.load_state_dict(norm.state_dict())


@dataclass(frozen=True)
class Units:
    """Features that go through the Q-Former together: U units, padded to the longest.

    Attributes:
        features: (U, n, width).
        mask: (U, n) int64, 0 where there is padding.
        sample: (U,) int64, ascending: row of the batch.
        number: (U,) int64: which of its sample's units each is; units of which no token was kept are not there.
        counts: (B,) int64: units of each whole sample.
    """

    features: Tensor
    mask: Tensor
    sample: Tensor
    number: Tensor
    counts: Tensor

    @classmethod
    def of(cls, values: Tensor, packed: PackedTokens, has_units: bool) -> Units:
        """Sort packed features into units.

        Args:
            values: (T, width), features of `packed`'s tokens.

        Raises:
            ValueError: there are to be units, but the grid has one axis only.
        """
        if has_units and packed.grids.shape[1] < 2:
            raise ValueError("features on a grid of one axis have no units; set units: false for this modality")
        cells = packed.grids.prod(1)
        counts = packed.grids[:, 0] if has_units else (cells > 0).long()
        size = cells // counts.clamp(min=1)
        number = packed.positions // size[packed.sample]
        key = packed.sample * (int(counts.max()) + 1) + number
        found, unit, lengths = key.unique(return_inverse=True, return_counts=True)
        first = lengths.cumsum(0) - lengths
        place = torch.arange(len(key), device=key.device) - first[unit]
        features = values.new_zeros(len(found), int(lengths.max()), values.shape[1])
        features = features.index_put((unit, place), values)
        mask = torch.arange(features.shape[1], device=key.device) < lengths[:, None]
        return cls(features, mask.long(), packed.sample[first], number[first], counts)


class QFormerBackbone(EncodingBackbone):
    """Adapters go on the Q-Former and on the projection, by the roles "qformer" and "connector".

    Args:
        model: the language model.
        prompter: for its tokenizer.
        encoders: by modality, in the order of a prompt.
        units: modalities whose encoder's first grid axis counts units.
        qformer: its dropout is 0.
        queries: query tokens of a unit.
        reader: tokenizer of the Q-Former, which sees the question too.
    """

    has_base = True

    def __init__(
        self,
        model: PreTrainedModel,
        prompter: Prompter,
        encoders: Mapping[str, MediaEncoder],
        units: Sequence[str],
        qformer: InstructBlipQFormerModel,
        queries: int,
        reader: PreTrainedTokenizerBase,
    ) -> None:
        super().__init__(model, prompter, encoders)
        config = qformer.config
        self.entries = nn.ModuleDict(
            {
                name: QFormerEntry(
                    encoder.features, config.encoder_hidden_size, queries, config.hidden_size, name in units
                )
                for name, encoder in encoders.items()
            }
        )
        self.qformer = qformer
        self.language_projection = nn.Linear(config.hidden_size, word_embeddings(model).shape[1])
        self._reader = reader

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"qformer": self.qformer, "connector": self.language_projection, "decoder": self.model.get_decoder()}

    def own_modules(self, modality: str) -> list[str]:
        return [f"entries.{modality}", *super().own_modules(modality)]

    def begin_as(self, modality: str, previous: str) -> None:
        """Copy query tokens, and the norm where it fits, from the modality learned just before, as the authors do.

        The lift begins anew. It is so for independent adapters, too.
        """
        self.entry(modality).begin(self.entry(previous).queries, self.entry(previous).norm)

    def entry(self, modality: str) -> QFormerEntry:
        """A modality's own modules."""
        entry = self.entries[modality]
        assert isinstance(entry, QFormerEntry)
        return entry

    def tokens(self, modality: str, features: PackedTokens, batch: Batch) -> MediaTokens:
        entry = self.entry(modality)
        units = Units.of(entry.lift(entry.norm(features.values.float())), features, entry.has_units)
        with self.paths.of(modality):
            embeddings = self.language_projection(self._ask(entry, units, batch))
        queries = embeddings.shape[1]
        places = torch.arange(queries, device=self.device)
        return MediaTokens(
            embeddings=embeddings.flatten(0, 1),
            sample=units.sample.repeat_interleave(queries),
            positions=(units.number[:, None] * queries + places).flatten(),
            grids=(units.counts * queries)[:, None],
        )

    def _ask(self, entry: QFormerEntry, units: Units, batch: Batch) -> Tensor:
        """Query tokens (U, queries, hidden_size) after the Q-Former."""
        queries = entry.queries.expand(len(units.sample), -1, -1)
        read = self._reader(
            [batch.questions[sample].question for sample in units.sample.tolist()],
            padding=True,
            truncation=True,
            max_length=_LONGEST_INSTRUCTION,
            return_tensors="pt",
        ).to(self.device)
        states = self.qformer(
            input_ids=read.input_ids,
            attention_mask=torch.cat([read.attention_mask.new_ones(queries.shape[:2]), read.attention_mask], 1),
            query_embeds=queries,
            encoder_hidden_states=units.features,
            encoder_attention_mask=units.mask,
        ).last_hidden_state
        return states[:, : queries.shape[1]]

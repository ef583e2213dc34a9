"""Backbone `vilt`: ViLT (arXiv 2102.03334), Hugging Face's layers, on packed tokens.

A sequence is `[CLS] text [SEP] [image class token] patches`; what a sample lacks or has dropped is not in it, and what
it has keeps the position that it had. The pooled feature is that of the text's `[CLS]`, as everywhere in ViLT.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from transformers import ViltConfig, ViltModel
from transformers.models.vilt.modeling_vilt import ViltLayer, ViltSelfAttention

from dist_mcl.backbones.backbone import Backbone, Sequences
from dist_mcl.backbones.packing import Layout, packed_attention, split_heads
from dist_mcl.backbones.vilt_embeddings import TokenEmbeddings
from dist_mcl.tokens import Batch

_LAYER_TARGETS = (
    "layernorm_before",
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
    "layernorm_after",
    "intermediate.dense",
    "output.dense",
)


class PackedSelfAttention(ViltSelfAttention):
    """ViLT's attention on packed tokens; where its layer passes an attention mask on, it finds the layout."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Layout | None = None, output_attentions: bool = False
    ) -> tuple[Tensor]:
        if attention_mask is None or output_attentions:
            raise ValueError("packed attention needs a layout and returns no weights")
        parts = split_heads(self, hidden_states[0])
        return (packed_attention(*parts, attention_mask, self.attention_head_size**-0.5).flatten(1)[None],)


class ViltBackbone(Backbone):
    """ViLT with random weights; `dist_mcl.backbones.vilt_folder` reads pretrained ones.

    Args:
        config: as a ViLT checkpoint has it. `max_position_embeddings` is the number of text positions wanted here, the
            two special tokens included.
        special: token ids of [CLS] and [SEP].
        mean, deviation: of a colour channel, 0 to 1, by which pixels are normalised.
    """

    def __init__(
        self,
        config: ViltConfig,
        special: tuple[int, int],
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        deviation: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__()
        config = copy.deepcopy(config)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.hidden_size = config.hidden_size
        self.vilt = ViltModel(config, add_pooling_layer=False)
        self.vilt.add_module("embeddings", TokenEmbeddings(config, mean, deviation))
        for layer in self.vilt.encoder.layer:
            cast(ViltLayer, layer).attention.attention = PackedSelfAttention(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self._cls, self._sep = special

    @property
    def adapter_targets(self) -> list[str]:
        layers = range(self.vilt.config.num_hidden_layers)
        return [
            "vilt.embeddings.patch_embeddings.projection",
            *(f"vilt.encoder.layer.{i}.{name}" for i in layers for name in _LAYER_TARGETS),
            "vilt.layernorm",
        ]

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.vilt.encoder.layer)

    def keeps_fp32(self, name: str) -> bool:
        return super().keeps_fp32(name) or name.endswith("patch_embeddings.positions")

    def checkpoint_activations(self) -> None:
        self.vilt.gradient_checkpointing_enable({"use_reentrant": False})

    def embed(self, batch: Batch) -> tuple[Tensor, Sequences]:
        """As in `Backbone`; a picture may have any grid."""
        embeddings = cast(TokenEmbeddings, self.vilt.get_submodule("embeddings"))
        samples = torch.arange(len(batch), device=self.pooler.weight.device)
        zeros = torch.zeros_like(samples)
        text, image = batch.tokens.get("text"), batch.tokens.get("image")
        ends = zeros + 1 if text is None else text.grids[:, 0] + 1
        self._check_length(ends)
        parts = {"class": (samples, embeddings.embed_words(zeros + self._cls, zeros))}
        if text is not None:
            parts["text"] = (text.sample, embeddings.embed_words(text.values.long(), text.positions + 1))
        parts["separator"] = (samples, embeddings.embed_words(zeros + self._sep, ends))
        if image is not None:
            class_tokens, patches = embeddings.embed_image(image)
            pictured = samples[image.grids.any(1)]
            parts["image class"] = (pictured, class_tokens[pictured])
            parts["image"] = (image.sample, patches)
        return Sequences.of(parts, len(batch))

    def run_block(self, block: nn.Module, hidden: Tensor, layout: Layout) -> Tensor:
        output: Tensor = block(hidden[None], attention_mask=layout)[0][0]
        return output

    def attention_parts(self, block: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        layer = cast(ViltLayer, block)
        return split_heads(layer.attention.attention, layer.layernorm_before(hidden))

    def finish(self, hidden: Tensor) -> Tensor:
        normed: Tensor = self.vilt.layernorm(hidden)
        return normed

    def _check_length(self, ends: Tensor) -> None:
        limit = self.vilt.config.max_position_embeddings
        if int(ends.max()) >= limit:
            raise ValueError(f"a text has more than {limit - 2} tokens, the backbone's position table ends there")

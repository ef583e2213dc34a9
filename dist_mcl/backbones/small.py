"""Backbone `small`: one transformer over text and image tokens that runs on a CPU.

The encoder is MiniLM's (`BertModel`, 6 layers of width 384), the sequence `[CLS] text [SEP] image`. A picture's patch
becomes a token by `PatchEncoder`, from its own pixels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLayer

from dist_mcl.backbones.backbone import Backbone, Sequences
from dist_mcl.backbones.packing import ATTENTION, Layout, split_heads
from dist_mcl.backbones.patch_encoder import PatchEncoder
from dist_mcl.tokens import Batch, PackedTokens, Sample

WEIGHTS = Path(__file__).parent / "weights" / "small.safetensors"
# The word, position and type embeddings are MiniLM's own and are read from its folder.
MINILM_PART = "bert.embeddings."
_CLS, _SEP = 101, 102
_IMAGE_GRID = (6, 6)
_LAYER_TARGETS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)


class SmallBackbone(Backbone):
    """Single-stream transformer over text and image tokens; either may be missing or incomplete.

    Use `from_pretrained`, or `tiny` in tests.

    Args:
        config: of the encoder; its attention implementation is set here.
        patch_encoder: features of a picture's patches.
    """

    def __init__(self, config: BertConfig, patch_encoder: PatchEncoder) -> None:
        super().__init__()
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.hidden_size: int = config.hidden_size
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.set_attn_implementation(ATTENTION)
        self.patch_encoder = patch_encoder
        self.image_projection = nn.Linear(patch_encoder.features, config.hidden_size)
        self.image_rows = nn.Embedding(_IMAGE_GRID[0], config.hidden_size)
        self.image_columns = nn.Embedding(_IMAGE_GRID[1], config.hidden_size)
        self.image_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)

    @classmethod
    def from_pretrained(cls, minilm: Path, weights: Path = WEIGHTS) -> SmallBackbone:
        """The pretrained backbone.

        Args:
            minilm: folder of all-MiniLM-L6-v2, for its configuration and embeddings.
            weights: everything else, as `dist_mcl.backbones.pretraining` writes it.

        Raises:
            OSError, SafetensorError: a file is missing or damaged.
            RuntimeError: the weights are of another model.
        """
        backbone = cls.untrained(minilm)
        state = {name: value.float() for name, value in load_file(weights).items()}
        embeddings = {name: value for name, value in minilm_state(minilm).items() if name.startswith(MINILM_PART)}
        backbone.load_state_dict({**state, **embeddings})
        return backbone

    @classmethod
    def untrained(cls, minilm: Path) -> SmallBackbone:
        """The backbone of `from_pretrained` with random weights."""
        return cls(BertConfig.from_pretrained(minilm), PatchEncoder()).eval()

    @classmethod
    def tiny(cls, seed: int = 0) -> SmallBackbone:
        """A small backbone with random weights and the full vocabulary, for tests; needs no files."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = BertConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                max_position_embeddings=128,
                initializer_range=0.2,
            )
            return cls(config, PatchEncoder(stages=2, taps=(1,), enlarge=1)).eval()

    @property
    def adapter_targets(self) -> list[str]:
        layers = range(self.bert.config.num_hidden_layers)
        return ["image_projection", *(f"bert.encoder.layer.{i}.{name}" for i in layers for name in _LAYER_TARGETS)]

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.bert.encoder.layer)

    def keeps_fp32(self, name: str) -> bool:
        return super().keeps_fp32(name) or name.startswith("patch_encoder.")

    def checkpoint_activations(self) -> None:
        self.bert.activation_checkpointing_enable()

    @property
    def preparing(self) -> nn.Module:
        return self.patch_encoder

    @torch.no_grad()
    def prepare(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with each patch replaced by its features, so that they are computed once and not every epoch.

        The patch encoder is frozen and sees one patch at a time, so this changes nothing but the time (and rounds to
        half precision). All methods take prepared and raw samples, this one too; one batch holds only one of the two.

        Returns:
            the samples in their order; "image" values are float16 (n, features).
        """
        return [self._prepared(sample) if _is_raw(sample) else sample for sample in samples]

    def _prepared(self, sample: Sample) -> Sample:
        image = sample.tokens["image"]
        patches = torch.from_numpy(image.values).to(self.pooler.weight.device)
        features = self.patch_encoder(patches).half().cpu().numpy()
        tokens = {**sample.tokens, "image": replace(image, values=features)}
        return replace(sample, tokens=tokens, prepared=sample.prepared | {"image"})

    def embed(self, batch: Batch) -> tuple[Tensor, Sequences]:
        """As in `Backbone`; a picture's grid is 6 x 6."""
        count = len(batch)
        samples = torch.arange(count, device=self.pooler.weight.device)
        zeros = torch.zeros_like(samples)
        text, image = batch.tokens.get("text"), batch.tokens.get("image")
        ends = zeros + 1 if text is None else text.grids[:, 0] + 1
        parts = {"class": (samples, self._embed_words(zeros + _CLS, zeros))}
        if text is not None:
            parts["text"] = (text.sample, self._embed_words(text.values.long(), text.positions + 1))
        parts["separator"] = (samples, self._embed_words(zeros + _SEP, ends))
        if image is not None:
            parts["image"] = (image.sample, self._embed_image(image, "image" in batch.prepared))
        return Sequences.of(parts, count)

    def run_block(self, block: nn.Module, hidden: Tensor, layout: Layout) -> Tensor:
        output: Tensor = block(hidden[None], layout=layout)[0]
        return output

    def attention_parts(self, block: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = cast(BertLayer, block).attention.self
        return split_heads(attention, hidden)

    def _embed_words(self, ids: Tensor, positions: Tensor) -> Tensor:
        if len(positions) and int(positions.max()) >= self.bert.config.max_position_embeddings:
            limit = self.bert.config.max_position_embeddings - 2
            raise ValueError(f"a text has more than {limit} tokens, the backbone's position table ends there")
        embedded: Tensor = self.bert.embeddings(input_ids=ids[None], position_ids=positions[None])
        return embedded[0]

    def _embed_image(self, image: PackedTokens, is_prepared: bool) -> Tensor:
        present = image.grids[image.grids.any(1)]
        if not torch.equal(present, present.new_tensor(_IMAGE_GRID).expand_as(present)):
            raise ValueError(f"pictures have a grid of {_IMAGE_GRID[0]} x {_IMAGE_GRID[1]} patches in this backbone")
        row, column = image.positions // _IMAGE_GRID[1], image.positions % _IMAGE_GRID[1]
        features = image.values.float() if is_prepared else self.patch_encoder(image.values)
        projected = self.image_projection(features)
        return self.image_norm(projected + self.image_rows(row) + self.image_columns(column))


def _is_raw(sample: Sample) -> bool:
    return "image" in sample.tokens and "image" not in sample.prepared


def minilm_state(folder: Path) -> dict[str, Tensor]:
    """MiniLM's weights under the backbone's names, without its pooler and its table of position numbers."""
    saved = load_file(folder / "model.safetensors")
    return {
        f"bert.{name}": value
        for name, value in saved.items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }


@contextmanager
def open_weights(minilm: Path, weights: Path = WEIGHTS) -> Iterator[Callable[[str], Tensor]]:
    """What `SmallBackbone.from_pretrained` loads, one fp32 tensor after the other, by its name in the backbone.

    Raises:
        OSError, SafetensorError: a file is missing or damaged, or has no such tensor.
    """
    with safe_open(weights, "pt") as ours, safe_open(minilm / "model.safetensors", "pt") as theirs:

        def read(name: str) -> Tensor:
            is_theirs = name.startswith(MINILM_PART)
            value: Tensor = theirs.get_tensor(name.removeprefix("bert.")) if is_theirs else ours.get_tensor(name)
            return value.float() if value.is_floating_point() else value

        yield read

"""ViLT's input layer on packed tokens: any part of a picture, in any order that the caller gives.

Hugging Face's `visual_embed` shuffles the patches on every call, in evaluation too, and reads a picture's grid off the
first row and column of its pixel mask, so that a mask with holes there cuts the picture down or ends in an error. Here
the grid is given, position embeddings are interpolated over all of it, and each token takes its own.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViltConfig
from transformers.models.vilt.modeling_vilt import TextEmbeddings

from dist_mcl.tokens import PackedTokens

_TEXT, _IMAGE = 0, 1  # rows of the table of modality types


class PatchEmbeddings(nn.Module):
    """Patches to tokens: a linear map of the pixels, and a place in the picture.

    Args:
        config: ViLT's.
        mean, deviation: of a colour channel, 0 to 1, by which pixels are normalised.
    """

    def __init__(self, config: ViltConfig, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        side = cast(int, config.image_size) // cast(int, config.patch_size)
        self.table = (side, side)
        pixels = config.num_channels * cast(int, config.patch_size) ** 2
        self.projection = nn.Linear(pixels, config.hidden_size)
        self.class_token = nn.Parameter(torch.zeros(config.hidden_size))
        self.positions = nn.Parameter(torch.zeros(1 + side * side, config.hidden_size))
        self.mean = nn.Buffer(torch.tensor(mean), persistent=False)
        self.deviation = nn.Buffer(torch.tensor(deviation), persistent=False)

    def forward(self, image: PackedTokens) -> tuple[Tensor, Tensor]:
        """The pictures' own class tokens (B, width), of which only samples with a picture may use theirs, and the
        tokens of the patches (n, width)."""
        pixels = (image.values.float() / 255 - self.mean) / self.deviation
        patches = self.projection(pixels.flatten(1)) + self._places(image)
        return (self.class_token + self.positions[0]).expand(len(image.grids), -1), patches

    def _places(self, image: PackedTokens) -> Tensor:
        grids, which = image.grids.unique(dim=0, return_inverse=True)
        tables = [self._interpolated(*grid) for grid in grids.tolist()]
        starts = torch.tensor([0, *(len(table) for table in tables[:-1])], device=which.device).cumsum(0)
        return torch.cat(tables)[starts[which[image.sample]] + image.positions]

    def _interpolated(self, rows: int, columns: int) -> Tensor:
        """(rows * columns, width) position embeddings of a whole grid."""
        if not rows * columns:  # a sample without a picture
            return self.positions[:0]
        table = self.positions[1:].T.reshape(1, -1, *self.table)
        return F.interpolate(table, (rows, columns), mode="bilinear", align_corners=True).flatten(2)[0].T


class TokenEmbeddings(nn.Module):
    """ViLT's embeddings of text and picture, without the shuffling."""

    def __init__(self, config: ViltConfig, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.text_embeddings = TextEmbeddings(config)
        self.patch_embeddings = PatchEmbeddings(config, mean, deviation)
        self.token_type_embeddings = nn.Embedding(config.modality_type_vocab_size, config.hidden_size)

    def embed_words(self, ids: Tensor, positions: Tensor) -> Tensor:
        """(n, width) of token ids (n,) at their positions."""
        # Token types are given: the module's own table of them is as short as the longest text.
        words = self.text_embeddings(ids[None], torch.zeros_like(ids)[None], positions[None])[0]
        return words + self.token_type_embeddings(torch.full_like(ids, _TEXT))

    def embed_image(self, image: PackedTokens) -> tuple[Tensor, Tensor]:
        """As `PatchEmbeddings`."""
        class_tokens, patches = self.patch_embeddings(image)
        kind = self.token_type_embeddings(image.sample.new_tensor([_IMAGE]))
        return class_tokens + kind, patches + kind

"""What the backbone is taught to say: features of two pretrained models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertModel

from dist_mcl.backbones.efficientnet_lite import EfficientNetLite0

_SIDE, _BATCH = 224, 32


@torch.no_grad()
def picture_features(drawings: NDArray[np.uint8], weights: Path) -> Tensor:
    """EfficientNet-Lite0's global features (N, 1280) of RGBA drawings (N, side, side, 4), each on white at 224 px."""
    network = EfficientNetLite0().eval()
    network.load_package_weights(load_file(weights))
    features = []
    for start in track(range(0, len(drawings), _BATCH), "picture features"):
        rgba = torch.from_numpy(drawings[start : start + _BATCH]).permute(0, 3, 1, 2).float()
        alpha = rgba[:, 3:] / 255
        white = rgba[:, :3] * alpha + 255 * (1 - alpha)
        pixels = (F.interpolate(white, (_SIDE, _SIDE), mode="bicubic") - 127) / 128
        with torch.autocast("cpu", torch.bfloat16):
            features.append(network(pixels).float())
    return torch.cat(features)


@dataclass(frozen=True)
class Reduction:
    """Principal components of standardised features.

    Scaled so that the targets' mean squared length is 1: predicting their mean costs a squared error of 1.
    """

    mean: Tensor
    components: Tensor

    @classmethod
    def fit(cls, features: Tensor, size: int) -> Reduction:
        mean, deviation = features.mean(0), features.std(0) + 1e-6
        standard = (features - mean) / deviation
        _, vectors = torch.linalg.eigh(standard.T @ standard)
        components = vectors[:, -size:].flip(1)
        length = (standard @ components).square().sum(1).mean().sqrt()
        return cls(mean, components / deviation[:, None] / length)

    def __call__(self, features: Tensor) -> Tensor:
        """(N, width) -> (N, size)."""
        return (features - self.mean) @ self.components


class SentenceTeacher:
    """all-MiniLM-L6-v2: mean over the tokens of a text, normalised."""

    def __init__(self, folder: Path) -> None:
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval().requires_grad_(False)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def ids(self, text: str) -> list[int]:
        """Token ids without special tokens."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def embed_all(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """As calling it, in batches, for any number of texts."""
        return torch.cat([self(texts[start : start + 128]) for start in range(0, len(texts), 128)])

    @torch.no_grad()
    def __call__(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Unit-length sentence embeddings (N, 384) of texts given as token ids."""
        rows = [torch.tensor([101, *text, 102]) for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = (ids > 0).long()
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return F.normalize((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)

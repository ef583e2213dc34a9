"""All drawings and what the picture teacher says of them, prepared once and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dist_mcl.backbones.pretraining.items import items
from dist_mcl.backbones.pretraining.teachers import picture_features
from dist_mcl.packages.download import Package


@dataclass(frozen=True, eq=False)
class Things:
    """N things to look at.

    Attributes:
        drawings: uint8 RGBA (N, 96, 96, 4).
        words: what each shows.
        weights: float64 (N,), how often each is drawn, relative to others.
        features: (N, 1280), the picture teacher's, of each drawing on white.
    """

    drawings: NDArray[np.uint8]
    words: list[str]
    weights: NDArray[np.float64]
    features: Tensor


def prepare(archives: Mapping[Package, Path], efficientnet: Path, path: Path) -> None:
    """Render everything and ask the picture teacher (minutes); the file appears complete or not at all."""
    found = list(track(items(archives), "drawings", total=None))
    drawings = np.stack([item.drawing for item in found])
    tensors = {
        "drawings": torch.from_numpy(drawings),
        "weights": torch.tensor([item.weight for item in found], dtype=torch.float64),
        "features": picture_features(drawings, efficientnet),
    }
    scratch = path.with_suffix(".partial")
    save_file(tensors, scratch, metadata={"words": json.dumps([item.words for item in found])})
    scratch.replace(path)


def load(path: Path) -> Things:
    """What `prepare` wrote."""
    with safe_open(path, "pt") as file:
        drawings, weights, features = (file.get_tensor(name) for name in ("drawings", "weights", "features"))
        words = json.loads(file.metadata()["words"])
    return Things(drawings.numpy(), words, weights.numpy(), features)

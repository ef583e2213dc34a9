"""Backbone `causal` where Hugging Face has it whole: picture encoder, projector and language model in one checkpoint.

LLaVA (arXiv 2304.08485) and models built like it: the projector gives one token for each cell of a square grid, and the
language model takes them where its prompt has placeholders. Here the placeholders of dropped tokens are left out of the
prompt, and the others keep their positions.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.backbones.media_encoders import Encoded, as_pictures, whole_grids
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.tokens import Batch, PackedTokens

_IMAGE = "image"


class HubCausalBackbone(LanguageBackbone):
    """Reads pictures alone; nothing of it trains but what is put on it.

    Args:
        model: of Hugging Face's image-text-to-text models.
        prompter: for its tokenizer.
        side: pixels of the square that its picture encoder takes.
        mean, deviation: of a colour channel, 0 to 1, by which pixels are normalised.

    Raises:
        ValueError: a language model with several positions for each token, as Qwen2-VL's, or a projector of another
            name than LLaVA's.
    """

    has_base = True

    def __init__(
        self,
        model: PreTrainedModel,
        prompter: Prompter,
        side: int,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        deviation: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__(model, prompter)
        if "mrope_section" in (getattr(model.get_decoder().config, "rope_parameters", None) or {}):
            raise ValueError("its tokens have positions in time, height and width, and here each has one")
        if not hasattr(model.model, "multi_modal_projector"):
            raise ValueError("it has no multi_modal_projector")
        self._side = side
        self.mean = nn.Buffer(torch.tensor(mean)[:, None, None], persistent=False)
        self.deviation = nn.Buffer(torch.tensor(deviation)[:, None, None], persistent=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        return (_IMAGE,)

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"connector": self.model.model.multi_modal_projector, "decoder": self.model.get_decoder()}

    def own_modules(self, modality: str) -> list[str]:
        return []

    def media(self, batch: Batch) -> dict[str, MediaTokens]:
        """As in `LanguageBackbone`. Raises ValueError for anything but pictures."""
        if unknown := sorted(set(batch.tokens) - {_IMAGE}):
            raise ValueError(f"this language model reads pictures, not {unknown[0]}")
        return {name: self._tokens(tokens) for name, tokens in batch.tokens.items()}

    def _tokens(self, pictures: PackedTokens) -> MediaTokens:
        with self.paths.of(_IMAGE):
            encoded = whole_grids(pictures, self._of_one_grid, fill=127)
        return MediaTokens(encoded.values, encoded.sample, encoded.positions, encoded.grids)

    def _of_one_grid(self, values: Tensor, kept: Tensor, grid: tuple[int, ...]) -> Encoded:
        rows, columns = grid
        pixels = as_pictures(values, rows, columns)
        scaled = F.interpolate(pixels, (self._side, self._side), mode="bicubic", antialias=True).clamp(0, 255) / 255
        found = (
            cast(Any, self.model).get_image_features(pixel_values=(scaled - self.mean) / self.deviation).pooler_output
        )
        features = torch.stack(list(found))
        cells = math.isqrt(features.shape[1])
        if cells**2 != features.shape[1]:
            raise ValueError(f"the projector gives {features.shape[1]} tokens of a picture, which are no square grid")
        seen = F.adaptive_max_pool2d(kept.view(-1, 1, rows, columns).float(), cells).flatten(1).bool()
        return features, seen, (cells, cells)

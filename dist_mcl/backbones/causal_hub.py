"""Backbone `causal` where Hugging Face has it whole: picture encoder, projector and language model in one checkpoint.

LLaVA (arXiv 2304.08485) and models built like it: the projector gives one token for each cell of a square grid, and the
language model takes them where its prompt has placeholders. Here the placeholders of dropped tokens are left out of the
prompt, and the others keep their positions. Other modalities come from encoders and entries of their own and go through
the same projector, one feature by one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.connecting import ConnectingBackbone
from dist_mcl.backbones.media_encoders import Encoded, MediaEncoder, as_pictures, whole_grids
from dist_mcl.backbones.prompts import MediaTokens, Prompter
from dist_mcl.tokens import Batch, PackedTokens

IMAGE = "image"  # the modality that the checkpoint's own encoder reads


class HubCausalBackbone(ConnectingBackbone):
    """Nothing of the checkpoint trains but what is put on it.

    Args:
        model: of Hugging Face's image-text-to-text models.
        prompter: for its tokenizer.
        modalities: in the order of a prompt.
        encoders: by modality, of all but `image`.
        side: pixels of the square that its picture encoder takes.
        mean, deviation: of a colour channel, 0 to 1, by which pixels are normalised.

    Raises:
        ValueError: a language model with several positions for each token, as Qwen2-VL's, a projector of another
            name than LLaVA's, or other modalities than `image` where that takes nothing but whole pictures.
    """

    has_base = True

    def __init__(
        self,
        model: PreTrainedModel,
        prompter: Prompter,
        modalities: Sequence[str],
        encoders: Mapping[str, MediaEncoder],
        side: int,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        deviation: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        if not hasattr(model.model, "multi_modal_projector"):
            raise ValueError("it has no multi_modal_projector")
        projector = cast(nn.Module, model.model.multi_modal_projector)
        super().__init__(model, prompter, encoders, _width(projector) if encoders else 0)
        if "mrope_section" in (getattr(model.get_decoder().config, "rope_parameters", None) or {}):
            raise ValueError("its tokens have positions in time, height and width, and here each has one")
        self._modalities, self._side = tuple(modalities), side
        self.mean = nn.Buffer(torch.tensor(mean)[:, None, None], persistent=False)
        self.deviation = nn.Buffer(torch.tensor(deviation)[:, None, None], persistent=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        return self._modalities

    @property
    def roles(self) -> dict[str, nn.Module]:
        model: Any = self.model
        return {"connector": model.model.multi_modal_projector, "decoder": model.get_decoder()}

    def own_modules(self, modality: str) -> list[str]:
        return [] if modality == IMAGE else super().own_modules(modality)

    def base_modules(self, modality: str) -> list[str]:
        return ["model"] if modality == IMAGE else super().base_modules(modality)

    def begin_as(self, modality: str, previous: str) -> None:
        """As in `LanguageBackbone`; pictures have no modules of their own, and what follows them begins anew."""
        if IMAGE not in (modality, previous):
            super().begin_as(modality, previous)

    def prepares(self, modalities: Collection[str]) -> bool:
        return set(modalities) != {IMAGE} and super().prepares(modalities)

    def cells(self, modality: str, positions: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        return (positions, grid) if modality == IMAGE else super().cells(modality, positions, grid)

    def _read(self, modality: str, batch: Batch) -> MediaTokens:
        return self._tokens(batch.tokens[IMAGE]) if modality == IMAGE else super()._read(modality, batch)

    def _tokens(self, pictures: PackedTokens) -> MediaTokens:
        with self.paths.of(IMAGE):
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


@torch.no_grad()
def _width(projector: nn.Module) -> int:
    """Of what a projector takes.

    Raises:
        ValueError: it takes no features one by one, but cells of whole pictures together.
    """
    try:
        first = cast(nn.Linear, projector.linear_1)
        projector(first.weight.new_zeros(1, first.in_features))
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ValueError(
            "its projector has no linear_1 that takes features one by one, so it can learn no modality but image"
        ) from error
    return first.in_features

"""ViLT as Hugging Face stores it: a folder with configuration, tokenizer, preprocessing and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor
from transformers import ViltConfig

from dist_mcl.backbones.vilt import ViltBackbone
from dist_mcl.errors import UserError
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.packages.hub import WEIGHT_ERRORS, read_preprocessing, read_settings, why_unreadable

Reader = Callable[[str], Tensor]

# Where the checkpoint has another name than the backbone, after "vilt.".
_NAMES = {
    "pooler.weight": "pooler.dense.weight",
    "pooler.bias": "pooler.dense.bias",
    "embeddings.patch_embeddings.class_token": "embeddings.cls_token",
    "embeddings.patch_embeddings.positions": "embeddings.position_embeddings",
}


class ViltFolder:
    """A ViLT checkpoint.

    Args:
        path: its folder.
        tokenizer: of this folder; its vocabulary names the special tokens.
        max_text_tokens: longest text, without [CLS] and [SEP]; what the checkpoint's position table holds (38) when
            left out. For more the table is stretched, bilinearly, as the code of arXiv 2303.03369 does.

    Raises:
        UserError: not a ViLT checkpoint, or its settings are damaged.
    """

    def __init__(self, path: Path, tokenizer: TextTokenizer, max_text_tokens: int | None = None) -> None:
        self._path = path
        settings = read_settings(path, "config")
        if settings.get("model_type") != "vilt":
            kind = settings.get("model_type")
            raise UserError(f"{path}: holds no ViLT (config.json says model_type {kind!r}); choose a folder that does")
        self._config = ViltConfig.from_dict(settings)
        if max_text_tokens is not None:
            self._config.max_position_embeddings = max_text_tokens + 2
        self._special = (tokenizer.id_of("[CLS]"), tokenizer.id_of("[SEP]"))
        preprocessing = read_preprocessing(path)
        self._mean = tuple(preprocessing.get("image_mean", (0.5, 0.5, 0.5)))
        self._deviation = tuple(preprocessing.get("image_std", (0.5, 0.5, 0.5)))

    def untrained(self) -> ViltBackbone:
        """The backbone with random weights."""
        return ViltBackbone(self._config, self._special, self._mean, self._deviation).eval()

    def pretrained(self) -> ViltBackbone:
        """The backbone with the checkpoint's weights. Raises as `reader` does."""
        backbone, read = self.untrained(), self.reader()
        backbone.load_state_dict({name: read(name) for name in backbone.state_dict()})
        return backbone

    def reader(self) -> Reader:
        """What `pretrained` loads, one fp32 tensor after the other, by its name in the backbone.

        Raises:
            UserError: there are no weights, they are damaged, or (when called) a tensor is missing.
        """
        names, read_saved = _open_weights(self._path)
        prefix = "vilt." if any(name.startswith("vilt.") for name in names) else ""

        def read(name: str) -> Tensor:
            place = name.removeprefix("vilt.")
            saved = prefix + _NAMES.get(place, place)
            if saved not in names:
                raise UserError(f"{self._path}: the checkpoint has no {saved!r}; choose a ViLT with a pooler")
            return self._fitted(place, read_saved(saved).float())

        return read

    def _fitted(self, place: str, value: Tensor) -> Tensor:
        if place == "embeddings.patch_embeddings.projection.weight":
            return value.permute(0, 2, 3, 1).flatten(1)  # a strided convolution is a linear map of the patch
        if place == "embeddings.text_embeddings.position_embeddings.weight":
            return _stretched(value, self._config.max_position_embeddings)
        if place == "embeddings.patch_embeddings.positions":
            return value[0]
        return value.flatten() if place == "embeddings.patch_embeddings.class_token" else value


def _stretched(table: Tensor, length: int) -> Tensor:
    if length <= len(table):
        return table[:length]
    return F.interpolate(table[None, None], (length, table.shape[1]), mode="bilinear")[0, 0]


def _open_weights(path: Path) -> tuple[set[str], Reader]:
    """Names and a reader of the weights: safetensors if there are any, otherwise torch's format, tensors alone."""
    safe, torch_file = path / "model.safetensors", path / "pytorch_model.bin"
    try:
        if safe.exists():
            file = safe_open(safe, "pt")
            return set(file.keys()), file.get_tensor
        state = torch.load(torch_file, map_location="cpu", weights_only=True)
        return set(state), state.__getitem__
    except FileNotFoundError as error:
        raise UserError(f"{path}: has neither model.safetensors nor pytorch_model.bin; get the checkpoint") from error
    except WEIGHT_ERRORS as error:
        reason = why_unreadable(error)
        raise UserError(f"{path}: the weights cannot be read ({reason}); get the checkpoint again") from error

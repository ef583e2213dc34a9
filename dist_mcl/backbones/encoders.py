"""The encoders that an experiment's modalities ask for, whatever the backbone behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, WhisperConfig

from dist_mcl.backbones.efficientnet_lite import EfficientNetLite0
from dist_mcl.backbones.media_encoders import MediaEncoder, PictureEncoder, PointEncoder, SoundEncoder, VectorEncoder
from dist_mcl.backbones.vision_encoder import CLIP_DEVIATION, CLIP_MEAN, VisionEncoder
from dist_mcl.encoder_config import (
    CustomFeatures,
    HuggingFaceFeatures,
    InstructBlipFeatures,
    Medium,
    PictureFeatures,
    PointFeatures,
    SoundFeatures,
)
from dist_mcl.errors import UserError
from dist_mcl.imports import make_object
from dist_mcl.packages.hub import WEIGHT_ERRORS, check_whole, read_preprocessing, why_unreadable

_POSITIONS_PER_SECOND = 50  # of Whisper's encoder
_TINY_SOUND = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}


class EncoderSource:
    """Makes encoders; modalities that ask for the same pretrained pictures' network share it.

    Args:
        files: folder of each pretrained encoder, by its name; one of a package that is not there has random weights.
        is_tiny: whether random weights are few, where the sizes are free.
        own: the picture encoder of the backbone's checkpoint, where it has one.
    """

    def __init__(self, files: Mapping[str, Path], is_tiny: bool = False, own: VisionEncoder | None = None) -> None:
        self._files, self._is_tiny, self._own = files, is_tiny, own
        self._efficientnet: EfficientNetLite0 | None = None
        self._of_hub: dict[str, VisionEncoder] = {}

    def open(self, medium: Medium) -> MediaEncoder:
        """The encoder of a modality.

        Raises:
            UserError: its files are missing, damaged or of something else, or one of the user's own cannot be made.
        """
        config = medium.encoder
        if isinstance(config, PictureFeatures):
            return PictureEncoder(self._picture_network(), config.side, config.cells)
        if isinstance(config, SoundFeatures):
            return _sound_encoder(config, self._files.get(config.kind), self._is_tiny)
        if isinstance(config, PointFeatures):
            return PointEncoder(config.features)
        if isinstance(config, HuggingFaceFeatures):
            return self._hub_encoder(config.path)
        if isinstance(config, CustomFeatures):
            return open_custom_encoder(f"{medium.place}.encoder", config)
        if isinstance(config, InstructBlipFeatures):
            assert self._own is not None  # it is refused for backbones without one
            return self._own
        return VectorEncoder(config.features)

    def _picture_network(self) -> EfficientNetLite0:
        if self._efficientnet is None:
            self._efficientnet = EfficientNetLite0()
            if folder := self._files.get("efficientnet-lite0"):
                self._efficientnet.load_package_weights(_weights(folder))
        return self._efficientnet

    def _hub_encoder(self, name: str) -> VisionEncoder:
        if name not in self._of_hub:
            self._of_hub[name] = _vision_encoder(self._files[name])
        return self._of_hub[name]


def open_custom_encoder(place: str, config: CustomFeatures) -> MediaEncoder:
    """An encoder of the user's own.

    Args:
        place: where the configuration asks for it.

    Raises:
        UserError: it cannot be imported or made, is no whole `MediaEncoder`, or trains and holds more than parameters.
    """
    made = make_object(place, config.path, config.options)
    if not isinstance(made, MediaEncoder):
        kind = type(made).__name__
        raise UserError(f"{place}.path {config.path}: makes {kind}, which is no MediaEncoder; see docs/causal.md")
    for name, of in (("features", int), ("is_frozen", bool)):
        if not isinstance(getattr(made, name, None), of):
            raise UserError(f"{place}.path {config.path}: has no {name} of type {of.__name__}; see docs/causal.md")
    if not made.is_frozen and (unsaved := _besides_parameters(made)):
        raise UserError(
            f"{place}.path {config.path}: trains and holds {unsaved[0]} besides parameters, which alone are saved; use "
            "LayerNorm or GroupNorm for BatchNorm, and register constants with persistent=False"
        )
    return made


def _besides_parameters(module: nn.Module) -> list[str]:
    """What belongs to a module's state, such as the running means of BatchNorm, and is no parameter."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return [name for name in module.state_dict() if name not in parameters]


def _sound_encoder(config: SoundFeatures, folder: Path | None, is_tiny: bool) -> SoundEncoder:
    positions = round(config.seconds * _POSITIONS_PER_SECOND)
    if folder is None:
        sizes: dict[str, Any] = _TINY_SOUND if is_tiny else {}  # tiny.en's sizes are WhisperConfig's own
        return SoundEncoder(WhisperConfig(max_source_positions=positions, **sizes), config.pool)
    encoder = SoundEncoder(WhisperConfig.from_pretrained(folder, max_source_positions=positions), config.pool)
    weights = _weights(folder)
    weights["embed_positions.weight"] = weights["embed_positions.weight"][:positions]
    encoder.network.load_state_dict({name: value.float() for name, value in weights.items()})
    return encoder


def _weights(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{folder}: the weights cannot be read ({reason}); delete it and fetch it again") from error


def _vision_encoder(folder: Path) -> VisionEncoder:
    try:
        if torch.get_default_device().type == "meta":  # where no weights can be read
            model, missing = AutoModel.from_config(AutoConfig.from_pretrained(folder)), []
        else:
            model, told = AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
            missing = told["missing_keys"]
    except WEIGHT_ERRORS as error:
        reason = why_unreadable(error)
        raise UserError(f"{folder}: holds no encoder that can be read ({reason}); get it again") from error
    network = getattr(model, "vision_model", model)  # CLIP and its like read texts too
    place = "" if network is model else "vision_model."
    check_whole(folder, [name for name in missing if name.startswith(place) and "pooler" not in name])  # the rest rests
    if not {"image_size", "patch_size"} <= set(network.config.to_dict()):
        raise UserError(f"{folder}: {network.config.model_type} is no encoder of pictures in patches; choose another")
    settings = read_preprocessing(folder)
    return VisionEncoder(network, settings.get("image_mean", CLIP_MEAN), settings.get("image_std", CLIP_DEVIATION))

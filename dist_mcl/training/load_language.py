"""The backbone that answers in words, as an experiment asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from dist_mcl.backbones import qformer_folder
from dist_mcl.backbones.causal_folder import assemble, open_language_model, open_multimodal_model, open_tokenizer
from dist_mcl.backbones.causal_tiny import tiny_causal
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.causal_config import CausalConfig, TinyCausalConfig
from dist_mcl.config import Experiment
from dist_mcl.encoder_config import CustomFeatures, HuggingFaceFeatures, Medium, VectorFeatures
from dist_mcl.errors import UserError
from dist_mcl.media_rules import LanguageConfig, media_of
from dist_mcl.packages.pretrained import LANGUAGE_MODEL, checkpoint_files, files_of_sizes, reads_pictures
from dist_mcl.qformer_config import QFormerConfig

_STAND_IN = VectorFeatures(kind="vectors", features=1)


def load_language_backbone(experiment: Experiment) -> LanguageBackbone:
    """The frozen backbone; what trains in it begins as the seed says.

    Raises:
        UserError: its weights are missing or damaged, or the experiment's backbone gives no words.
    """
    config = experiment.model.backbone
    if not isinstance(config, LanguageConfig):
        raise UserError(f"model.backbone.kind: {config.kind} does not answer questions; choose causal or qformer")
    media = media_of(experiment)
    files = checkpoint_files(config, media)
    if isinstance(config, TinyCausalConfig):
        backbone: LanguageBackbone = tiny_causal(media, files, experiment.seed)
    elif isinstance(config, CausalConfig):
        backbone = _causal(config, media, files, experiment.seed)
    else:
        backbone = _qformer(config, media, files, experiment.seed)
    return backbone.use_bf16() if experiment.training.precision == "bf16" else backbone


def language_backbone_without_weights(experiment: Experiment, has_encoders: bool = False) -> LanguageBackbone:
    """The backbone's modules alone, on the meta device.

    Args:
        has_encoders: whether all encoders are there; if not, stand-ins, on which no adapters go, take the place of
            those that are not known without their files.

    Raises:
        UserError: as `load_language_backbone`, but for what is in the files of weights.
    """
    config, media = experiment.model.backbone, media_of(experiment)
    assert isinstance(config, LanguageConfig)
    if not has_encoders:
        media = {name: _without_files(medium) for name, medium in media.items()}
    files = files_of_sizes(config, media)
    with torch.device("meta"):
        if isinstance(config, TinyCausalConfig):
            return tiny_causal(media, files, experiment.seed)
        if isinstance(config, CausalConfig):
            return _causal(config, media, files, experiment.seed, with_weights=False)
        return qformer_folder.untrained_qformer(config, media, files)


def _without_files(medium: Medium) -> Medium:
    has_files = isinstance(medium.encoder, HuggingFaceFeatures | CustomFeatures)
    return medium.model_copy(update={"encoder": _STAND_IN}) if has_files else medium


def _qformer(
    config: QFormerConfig, media: Mapping[str, Medium], files: Mapping[str, Path], seed: int
) -> LanguageBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.path is None:
            return qformer_folder.untrained_qformer(config, media, files)
        parts = qformer_folder.open_instructblip(files[LANGUAGE_MODEL])
        return qformer_folder.assemble(*parts, media, config.prompt, files)


def _causal(
    config: CausalConfig, media: Mapping[str, Medium], files: Mapping[str, Path], seed: int, with_weights: bool = True
) -> LanguageBackbone:
    folder = files[LANGUAGE_MODEL]
    tokenizer = open_tokenizer(folder)
    if reads_pictures(folder):
        return open_multimodal_model(folder, tokenizer, config, media, files, seed, with_weights)
    model = open_language_model(folder, config.layers, with_weights)
    return assemble(model, tokenizer, media, config.prompt, config.connector_width, files, seed)

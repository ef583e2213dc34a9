"""The backbone that answers in words, as an experiment asks for it."""

from __future__ import annotations

import torch

from dist_mcl.backbones import qformer_folder
from dist_mcl.backbones.causal_folder import (
    assemble,
    open_language_model,
    open_multimodal_model,
    open_tokenizer,
    reads_pictures,
)
from dist_mcl.backbones.causal_tiny import tiny_causal
from dist_mcl.backbones.language import LanguageBackbone
from dist_mcl.causal_config import CausalBackbone, TinyCausalBackbone
from dist_mcl.config import Experiment
from dist_mcl.errors import UserError
from dist_mcl.packages.causal import LANGUAGE_MODEL, checkpoint_files
from dist_mcl.packages.hub import checkpoint_folder, read_settings
from dist_mcl.qformer_config import QFormerBackbone


def load_language_backbone(experiment: Experiment) -> LanguageBackbone:
    """The frozen backbone; what trains in it begins as the seed says.

    Raises:
        UserError: its weights are missing or damaged, or the experiment's backbone gives no words.
    """
    config = experiment.model.backbone
    if isinstance(config, TinyCausalBackbone):
        backbone: LanguageBackbone = tiny_causal(config.media, experiment.seed)
    elif isinstance(config, CausalBackbone):
        backbone = _causal(config, experiment.seed)
    elif isinstance(config, QFormerBackbone):
        backbone = _qformer(config, experiment.seed)
    else:
        raise UserError(f"model.backbone.kind: {config.kind} does not answer questions; choose causal or qformer")
    return backbone.use_bf16() if experiment.training.precision == "bf16" else backbone


def _qformer(config: QFormerBackbone, seed: int) -> LanguageBackbone:
    if config.path is not None:
        parts = qformer_folder.open_instructblip(checkpoint_folder(config.path))
        return qformer_folder.assemble(*parts, config.media, config.prompt)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return qformer_folder.sketch(config)


def _causal(config: CausalBackbone, seed: int) -> LanguageBackbone:
    files = checkpoint_files(config)
    folder = files[LANGUAGE_MODEL]
    tokenizer = open_tokenizer(folder)
    if reads_pictures(read_settings(folder, "config")):
        return open_multimodal_model(folder, tokenizer, config)
    model = open_language_model(folder, config.layers)
    return assemble(model, tokenizer, config.media, config.prompt, config.connector_width, files, seed)

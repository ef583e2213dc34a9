"""Adapter-in-adapter of PathWeave (arXiv 2410.20178), as a PEFT tuner: a modality is added, and no other one moves.

backbone.paths = ModalityPaths(backbone)             # which tells adapters whose tokens go through them
own, base = backbone.own_modules("audio"), backbone.base_modules("audio")
config = peft_config(backbone, backbone.roles, adapter, ["video"], own, base)
add_modality(backbone, "audio", config, seed=0)      # fresh adapters; they and its own modules are all that trains
surprise, counts = backbone(batch, answers)          # each modality's tokens on its own path, words on the base's
save_modality(backbone, "audio", root / "audio")     # its own tensors, and a manifest of what they build on
load_modalities(again, root, "audio")                # on another backbone, after its ancestors

Backbones that answer do so; `on_path` says the path of any other torch model's calls. docs/adapters.md has both, whole.
"""

from dist_mcl.adapters.adapter_in_adapter.config import AdapterInAdapterConfig
from dist_mcl.adapters.adapter_in_adapter.folder import BaseDigests, load_modalities, load_modality, save_modality
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer
from dist_mcl.adapters.adapter_in_adapter.modality import (
    ModalityPaths,
    add_modality,
    modality_parameters,
    on_path,
)
from dist_mcl.adapters.adapter_in_adapter.model import AdapterInAdapterModel
from dist_mcl.adapters.adapter_in_adapter.path import ModalityPath
from dist_mcl.adapters.adapter_in_adapter.sites import find_sites, peft_config

__all__ = [
    "AdapterInAdapterConfig",
    "AdapterInAdapterLayer",
    "AdapterInAdapterModel",
    "BaseDigests",
    "ModalityPath",
    "ModalityPaths",
    "add_modality",
    "find_sites",
    "load_modalities",
    "load_modality",
    "modality_parameters",
    "on_path",
    "peft_config",
    "save_modality",
]

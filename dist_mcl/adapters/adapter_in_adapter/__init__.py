"""Adapter-in-adapter of PathWeave (arXiv 2410.20178), as a PEFT tuner: a modality is added, and no other one moves.

config = peft_config(backbone, roles, AdapterInAdapter(...), parents=["video"], own_modules=["inputs.audio"])
add_modality(backbone, "audio", config, seed=0)      # fresh adapters; they and its own modules are all that trains
backbone(...)                                        # takes the path of audio, the active adapter
with on_path(backbone, ModalityPath.of_rows(["audio", None, "video"])):
    backbone(...)                                    # three rows, each on its own path; None is the base's
save_modality(backbone, "audio", folder)             # its own tensors, and a manifest of what they build on
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

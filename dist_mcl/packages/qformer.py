"""Which pretrained parts the backbone `qformer` has."""

from __future__ import annotations

from collections.abc import Mapping

from dist_mcl.encoder_config import HuggingFaceFeatures, Medium
from dist_mcl.qformer_config import QFormerBackbone


def checkpoint_names(config: QFormerBackbone, media: Mapping[str, Medium]) -> list[str]:
    """Folders and ids: the InstructBLIP that is named, if one is, and the encoders of modalities."""
    encoders = [medium.encoder for medium in media.values()]
    named = {encoder.path for encoder in encoders if isinstance(encoder, HuggingFaceFeatures)}
    return [*([config.path] if config.path else []), *sorted(named)]

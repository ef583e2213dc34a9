"""The backbone that an experiment asks for, whole or sharded."""

from __future__ import annotations

from dist_mcl.backbones import SmallBackbone
from dist_mcl.backbones.small import open_weights
from dist_mcl.config import Experiment
from dist_mcl.packages.models import model_dir
from dist_mcl.training.engine import deepspeed_config
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.zero3 import shard_while_loading


def load_backbone(experiment: Experiment, group: ProcessGroup) -> SmallBackbone:
    """The frozen backbone; with ZeRO stage 3 this rank's share of it, which was never whole on any rank.

    Raises:
        UserError: its weights are missing.
    """
    is_tiny, seed = experiment.model.backbone == "tiny", experiment.seed
    if experiment.training.zero_stage < 3:
        return SmallBackbone.tiny(seed) if is_tiny else SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2"))
    config = deepspeed_config(experiment.training, group.world_size)
    if is_tiny:  # made, not read: it is a few megabytes, and the values depend on making all of it
        made = SmallBackbone.tiny(seed).state_dict()
        return shard_while_loading(lambda: SmallBackbone.tiny(seed), made.__getitem__, config)
    minilm = model_dir("all-minilm-l6-v2")
    with open_weights(minilm) as read:
        return shard_while_loading(lambda: SmallBackbone.untrained(minilm), read, config)

"""The backbone that an experiment asks for, whole or sharded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    is_bf16 = experiment.training.precision == "bf16"

    def in_precision(backbone: SmallBackbone) -> SmallBackbone:
        return backbone.use_bf16() if is_bf16 else backbone

    if experiment.training.zero_stage == 3:
        return _sharded(experiment, in_precision, deepspeed_config(experiment.training, group.world_size))
    if experiment.model.backbone == "tiny":
        return in_precision(SmallBackbone.tiny(experiment.seed))
    return in_precision(SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2")))


def _sharded(
    experiment: Experiment, in_precision: Callable[[SmallBackbone], SmallBackbone], config: Mapping[str, object]
) -> SmallBackbone:
    if experiment.model.backbone == "tiny":  # made, not read: it is a few megabytes, and a seed makes all of it at once
        made = SmallBackbone.tiny(experiment.seed).state_dict()
        return shard_while_loading(lambda: in_precision(SmallBackbone.tiny(experiment.seed)), made.__getitem__, config)
    minilm = model_dir("all-minilm-l6-v2")
    with open_weights(minilm) as read:
        return shard_while_loading(lambda: in_precision(SmallBackbone.untrained(minilm)), read, config)

"""The backbone that an experiment asks for, whole or sharded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from dist_mcl.backbones import Backbone, SmallBackbone, ViltFolder
from dist_mcl.backbones.small import open_weights
from dist_mcl.config import Experiment, RolloutScores, ViltBackbone
from dist_mcl.errors import UserError
from dist_mcl.modalities.tokenizers import open_tokenizers
from dist_mcl.packages.hub import checkpoint_folder
from dist_mcl.packages.models import model_dir
from dist_mcl.training.engine import deepspeed_config
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.zero3 import shard_while_loading

Reader = Callable[[str], Tensor]


def load_backbone(experiment: Experiment, group: ProcessGroup) -> Backbone:
    """The frozen backbone; with ZeRO stage 3 this rank's share of it, which was never whole on any rank.

    Raises:
        UserError: its weights are missing or damaged, or it lacks the layer that scores are taken from.
    """
    is_bf16 = experiment.training.precision == "bf16"

    def in_precision(backbone: Backbone) -> Backbone:
        return backbone.use_bf16() if is_bf16 else backbone

    if experiment.training.zero_stage == 3:
        with _parts(experiment) as (build, read):
            config = deepspeed_config(experiment.training, group.world_size)
            backbone = shard_while_loading(lambda: in_precision(build()), read, config)
    else:
        backbone = in_precision(_whole(experiment))
    _check_layer(experiment, len(backbone.blocks))
    return backbone


def _whole(experiment: Experiment) -> Backbone:
    config = experiment.model.backbone
    if config.kind == "tiny":
        return SmallBackbone.tiny(experiment.seed)
    if config.kind == "small":
        return SmallBackbone.from_pretrained(model_dir("all-minilm-l6-v2"))
    return _vilt(experiment).pretrained()


@contextmanager
def _parts(experiment: Experiment) -> Iterator[tuple[Callable[[], Backbone], Reader]]:
    """How to build the backbone with any weights, and how to read one of its own."""
    config = experiment.model.backbone
    if config.kind == "tiny":  # made, not read: it is a few megabytes, and a seed makes all of it at once
        made = SmallBackbone.tiny(experiment.seed).state_dict()
        yield lambda: SmallBackbone.tiny(experiment.seed), made.__getitem__
    elif config.kind == "small":
        minilm = model_dir("all-minilm-l6-v2")
        with open_weights(minilm) as read:
            yield lambda: SmallBackbone.untrained(minilm), read
    else:
        folder = _vilt(experiment)
        yield folder.untrained, folder.reader()


def _vilt(experiment: Experiment) -> ViltFolder:
    config = experiment.model.backbone
    assert isinstance(config, ViltBackbone)  # no other kind is left that learns classes
    tokenizer = open_tokenizers(experiment.model).text
    return ViltFolder(checkpoint_folder(config.path, "model.backbone.path"), tokenizer, config.max_text_tokens)


def _check_layer(experiment: Experiment, layers: int) -> None:
    scores = experiment.exemplars.scores
    if not isinstance(scores, RolloutScores) and not -layers <= scores.layer < layers:
        raise UserError(
            f"exemplars.scores.layer: {scores.layer}, but this backbone has {layers} layers; choose 0 to {layers - 1}, "
            f"or -{layers} to -1 counted from the end"
        )

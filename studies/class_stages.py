"""Stages of classes in this process, which share data sets and frozen backbones with all other runs in it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from dist_mcl.backbones import Backbone, SmallBackbone
from dist_mcl.config import Experiment
from dist_mcl.data_config import AnyData
from dist_mcl.exemplars import Masking
from dist_mcl.scenario.dataset import Dataset, Split
from dist_mcl.scenario.readers import open_splits
from dist_mcl.tokens import Sample
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.load import load_backbone
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.stage import ClassStageRun


class ClassStudyStage(ClassStageRun):
    """A stage whose data set and frozen backbone are those of the stage before."""

    @cached_property
    def _splits(self) -> dict[Split, Dataset]:
        return _open_splits(self._experiment.data.model_dump_json(), self._experiment.seed)

    def _backbone(self) -> Backbone:
        return copy.deepcopy(_frozen(self._experiment, self.group))

    @property
    def masking(self) -> Masking:
        return self._masking

    @property
    def model(self) -> Classifier:
        """As the stage has left it."""
        return self._trained()

    @property
    def rows(self) -> Tensor:
        """Lookup from class id to the head's row."""
        return self._rows

    @property
    def test_samples(self) -> Sequence[Sample]:
        """Those of all classes seen so far, whole."""
        seen = self._stages[: self.folder.number]
        return self._samples("test", np.sort(np.concatenate([stage.test for stage in seen])))

    def outline(self, sample_id: int) -> NDArray[np.bool_]:
        """(H, W), where a training sample's picture shows its object."""
        train = self._splits["train"]
        mask = train.raw(int(np.searchsorted(train.ids, sample_id))).mask
        if mask is None:
            raise ValueError(f"the outline of sample {sample_id} is not known")
        return mask


class RememberedPatches(nn.Module):
    """A frozen patch encoder that is asked but once about each picture; all copies of a backbone share it.

    Args:
        encoder: uint8 (n, p, p, 3) to (n, features).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._known: dict[bytes, Tensor] = {}

    def forward(self, patches: Tensor) -> Tensor:
        """As the encoder, in half precision, which is what a backbone keeps of it."""
        key = blake2b(patches.numpy().tobytes(), digest_size=16).digest()
        if key not in self._known:
            self._known[key] = self.encoder(patches).half()
        return self._known[key].float()

    def __deepcopy__(self, memo: dict[int, Any]) -> RememberedPatches:
        return self


@lru_cache(maxsize=1)
def _open_splits(data: str, seed: int) -> dict[Split, Dataset]:
    _kept.clear()  # its features are of other pictures
    config: AnyData = TypeAdapter(AnyData).validate_json(data)
    splits = open_splits(config, seed)
    for dataset in splits.values():
        dataset.sample = lru_cache(maxsize=None)(dataset.sample)  # type: ignore[method-assign]
    return splits


_kept: dict[str, Backbone] = {}


def _frozen(experiment: Experiment, group: ProcessGroup) -> Backbone:
    """What all runs on one data set begin with; nothing in it is ever changed."""
    key = experiment.model.backbone.model_dump_json() + experiment.training.precision
    if key not in _kept:
        backbone = load_backbone(experiment, group)
        if isinstance(backbone, SmallBackbone):
            backbone.patch_encoder = RememberedPatches(backbone.patch_encoder)  # type: ignore[assignment]
        _kept[key] = backbone
    return _kept[key]

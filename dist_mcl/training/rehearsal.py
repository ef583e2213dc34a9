"""A look, before anything trains, at whether every stage finds in the backbone what it is to train."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dist_mcl.adapter_config import ModalityAdapter
from dist_mcl.config import Experiment
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.load_language import language_backbone_without_weights


def rehearse(experiment: Experiment) -> None:
    """Begin all stages one after the other on a backbone without weights; it takes a second and no memory.

    Args:
        experiment: over modalities; the settings of its backbone are on the disk.

    Raises:
        UserError: the adapter's sites, their number, its roles or its parents are not there.
    """
    for _ in begun_stages(Answerer(language_backbone_without_weights(experiment)), experiment):
        pass


def begun_stages(answerer: Answerer, experiment: Experiment) -> Iterator[list[str]]:
    """Begin one stage after the other; yields the modalities of each, while they are what trains.

    Args:
        answerer: without weights, of the experiment.

    Raises:
        UserError: as `rehearse`.
    """
    scenario, adapter = experiment.scenario, experiment.model.adapter
    assert isinstance(scenario, ModalityIncremental) and isinstance(adapter, ModalityAdapter)
    names = [stage.modality for stage in scenario.stages]
    for modalities in [names] if scenario.joint else [[name] for name in names]:
        with torch.device("meta"):
            answerer.begin(modalities, adapter, experiment.seed)
        yield modalities

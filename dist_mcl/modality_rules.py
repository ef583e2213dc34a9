"""What an experiment of modality-incremental learning cannot have, and one of classes either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dist_mcl.adapter_config import AdapterInAdapter, NoAdapter
from dist_mcl.media_rules import LanguageConfig, check_media
from dist_mcl.question_config import ModalityIncremental

if TYPE_CHECKING:
    from dist_mcl.config import Experiment


def check_fits_scenario(experiment: Experiment) -> None:
    """See that the sections go with the kind of scenario.

    Raises:
        ValueError: one does not; says which and the mend.
    """
    backbone, adapter = experiment.model.backbone, experiment.model.adapter
    if isinstance(experiment.scenario, ModalityIncremental):
        _check_modalities(experiment)
    elif isinstance(backbone, LanguageConfig):
        raise ValueError(
            f"model.backbone.kind: {backbone.kind} answers questions, which scenario.kind: class_incremental does not "
            "ask; choose another of the two"
        )
    elif isinstance(adapter, AdapterInAdapter | NoAdapter):
        raise ValueError(f"model.adapter.kind: {adapter.kind} is for scenario.kind: modality_incremental; choose ssf")


def _check_modalities(experiment: Experiment) -> None:
    backbone, adapter, training = experiment.model.backbone, experiment.model.adapter, experiment.training
    refused = {
        f"model.backbone.kind: {backbone.kind} does not answer questions; choose causal or qformer": not isinstance(
            backbone, LanguageConfig
        ),
        f"model.adapter.kind: {adapter.kind} is not for modalities; choose adapter_in_adapter or none": not isinstance(
            adapter, AdapterInAdapter | NoAdapter
        ),
        "exemplars.budget: exemplars are of classes; set 0 for modalities": experiment.exemplars.budget > 0,
        "training.distillation.teacher: there is none for modalities; set none": training.distillation.teacher
        != "none",
        "training.bias_correction: answers have no head; set none": training.bias_correction != "none",
        "training.optimizer_state: each modality trains its own; set reset": training.optimizer_state != "reset",
        "training.zero_stage: 3 is not for modalities; set 2 or less": training.zero_stage == 3,
        "training.activation_checkpointing: adapters could not tell whose tokens are computed again; set false": (
            training.activation_checkpointing
        ),
    }
    if wrong := [line for line, is_so in refused.items() if is_so]:
        raise ValueError(wrong[0])
    assert isinstance(experiment.scenario, ModalityIncremental)
    assert isinstance(backbone, LanguageConfig)
    check_media(backbone, experiment.scenario.stages)

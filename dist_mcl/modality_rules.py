"""What an experiment of modality-incremental learning cannot have, and one of classes either."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dist_mcl.adapter_config import (
    AdapterForm,
    AdapterInAdapter,
    FullFineTuning,
    LoRAAdapter,
    ModalityAdapter,
    NoAdapter,
)
from dist_mcl.causal_config import CausalConfig
from dist_mcl.media_rules import LanguageConfig, check_media
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.question_config import ModalityIncremental

if TYPE_CHECKING:
    from dist_mcl.config import Evaluation, Experiment


def check_fits_scenario(experiment: Experiment) -> None:
    """See that the sections go with the kind of scenario.

    Raises:
        ValueError: one does not; says which and the mend.
    """
    backbone, adapter = experiment.model.backbone, experiment.model.adapter
    holding = experiment.training.consolidation.kind
    if isinstance(experiment.scenario, ModalityIncremental):
        _check_modalities(experiment)
    elif isinstance(backbone, LanguageConfig):
        raise ValueError(
            f"model.backbone.kind: {backbone.kind} answers questions, which scenario.kind: class_incremental does not "
            "ask; choose another of the two"
        )
    elif isinstance(adapter, LoRAAdapter) and adapter.sites:
        raise ValueError("model.adapter.sites: a backbone of classes has its own for lora; remove them")
    elif isinstance(adapter, AdapterInAdapter | FullFineTuning | NoAdapter):
        raise ValueError(f"model.adapter.kind: {adapter.kind} is for scenario.kind: modality_incremental; choose ssf")
    elif holding != "none":
        raise ValueError(f"training.consolidation.kind: {holding} is for scenario.kind: modality_incremental; set none")
    elif unused := _of_answers(experiment.evaluation):
        raise ValueError(f"evaluation.{unused[0]}: classes are not answered in words; leave it out")


def _of_answers(evaluation: Evaluation) -> list[str]:
    """The fields that are of answers in words and were set."""
    usual = type(evaluation)()
    return [
        name for name in ("candidates", "generation", "captions") if getattr(evaluation, name) != getattr(usual, name)
    ]


def _check_modalities(experiment: Experiment) -> None:
    assert isinstance(experiment.scenario, ModalityIncremental)
    backbone, adapter, training = experiment.model.backbone, experiment.model.adapter, experiment.training
    refused = {
        f"model.backbone.kind: {backbone.kind} does not answer questions; choose causal or qformer": not isinstance(
            backbone, LanguageConfig
        ),
        f"model.adapter.kind: {adapter.kind} is not for modalities; choose adapter_in_adapter, lora, full or none": (
            not isinstance(adapter, ModalityAdapter)
        ),
        "scenario.joint: adapter_in_adapter has adapters for each modality, learned in turn; choose model.adapter.kind "
        "lora, full or none": experiment.scenario.joint and isinstance(adapter, AdapterInAdapter),
        "training.distillation.teacher: stored logits are of classes; choose previous or none": (
            training.distillation.teacher == "stored"
        ),
        "training.bias_correction: answers have no head; set none": training.bias_correction != "none",
        "training.optimizer_state: each modality trains its own; set reset": training.optimizer_state != "reset",
        "training.zero_stage: 3 is not for modalities; set 2 or less": training.zero_stage == 3,
        "training.activation_checkpointing: adapters could not tell whose tokens are computed again; set false": (
            training.activation_checkpointing
        ),
    }
    if wrong := [line for line, is_so in refused.items() if is_so]:
        raise ValueError(wrong[0])
    assert isinstance(backbone, LanguageConfig)
    check_media(backbone, experiment.scenario.stages)
    if isinstance(adapter, AdapterInAdapter):
        _check_parents(adapter, backbone, [stage.modality for stage in experiment.scenario.stages])
    _check_retention(experiment, experiment.scenario)
    if experiment.exemplars.budget:
        _check_replay(experiment)


def _check_parents(adapter: AdapterInAdapter, backbone: LanguageConfig, names: Sequence[str]) -> None:
    """See that modalities build on earlier ones that have adapters, and that top_k has them to choose among.

    Args:
        names: the stages' modalities, in their order.
    """
    named = adapter.parents if isinstance(adapter.parents, dict) else {}
    if strange := [name for name in named if name not in names]:
        close = difflib.get_close_matches(strange[0], names, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"choose of {', '.join(names)}"
        raise ValueError(f"model.adapter.parents: no stage brings {strange[0]!r}; {mend}")
    base = _base(backbone, names)
    experts: dict[str, set[str]] = {}
    for name in names:
        parents = adapter.parents_of(name, tuple(experts), base)
        if name not in base:
            experts[name] = {name}.union(*(experts[parent] for parent in parents))
    _check_top_k(adapter, max(map(len, experts.values()), default=0))


def _base(backbone: LanguageConfig, names: Sequence[str]) -> set[str]:
    """Modalities without adapters, on which none can build. Of a checkpoint it is known when that is opened."""
    if isinstance(backbone, QFormerConfig):
        return {backbone.base.modality}.difference(names)
    brings_its_own = isinstance(backbone, CausalConfig) and "/" in backbone.path  # LLaVA and its like
    return set() if brings_its_own else {names[0]}


def _check_top_k(adapter: AdapterInAdapter, most: int) -> None:
    """See that the gate top_k has adapters to choose among, and as many as were asked for.

    Args:
        most: experts of the modality that has most, its own and its ancestors'.
    """
    gates = {sites.gate or adapter.gate for sites in adapter.sites} or {adapter.gate}
    if "top_k" not in gates:
        return
    if most <= 1 and adapter.parents != "chain":
        place = "gate" if adapter.gate == "top_k" else "sites: gate"
        raise ValueError(
            f"model.adapter.{place}: top_k chooses among a modality's own adapter and those on which it builds, and "
            "with model.adapter.parents as they are none builds on another; choose gate: none, or parents: chain"
        )
    # A chain may have only begun. The usual number is no wish: a run's experiment.yaml has what was left out, too.
    if adapter.top_k > most and (most > 1 or adapter.top_k != AdapterForm().top_k):
        mend = f"choose at most {most}" if most > 1 else "leave it out"
        raise ValueError(
            f"model.adapter.top_k: {adapter.top_k}, and no modality has more than {most} adapters, its own and those "
            f"of its ancestors; {mend}, or choose gate: dense, which takes all of them"
        )


def _check_retention(experiment: Experiment, scenario: ModalityIncremental) -> None:
    """What holds a model to earlier stages needs something that they share, and stages."""
    asked = {
        f"training.consolidation.kind: {experiment.training.consolidation.kind}": "none",
        f"training.distillation.teacher: {experiment.training.distillation.teacher}": "none",
        f"exemplars.budget: {experiment.exemplars.budget}": "0",
    }
    for setting, off in asked.items():
        if setting.endswith(f": {off}"):
            continue
        if isinstance(experiment.model.adapter, AdapterInAdapter):
            raise ValueError(
                f"{setting} is for what modalities share, and adapter_in_adapter forgets nothing; set {off}, or choose "
                "model.adapter.kind lora, full or none"
            )
        if scenario.joint:
            raise ValueError(f"{setting} is of earlier stages, and with scenario.joint there are none; set {off}")


def _check_replay(experiment: Experiment) -> None:
    """Of what exemplars of classes can be, those of questions have a part."""
    config = experiment.exemplars
    refused = {
        "model.backbone.kind: a Q-Former's tokens are none of the medium; choose causal, or exemplars.budget 0": (
            isinstance(experiment.model.backbone, QFormerConfig)
        ),
        f"exemplars.masker.kind: {config.masker.kind} is of pictures; choose another one": (
            config.masker.kind in ("box", "low_res")
        ),
        f"exemplars.scores.kind: {config.scores.kind} is of encoders; choose attention": (
            config.scores.kind != "attention"
        ),
        "exemplars.selection: entropy is of classes; choose another one": config.selection == "entropy",
        "exemplars.swap_probability: questions are not of a class whose texts could be swapped; set 0": (
            config.swap_probability > 0
        ),
        "exemplars.fresh_masking: new questions come whole; set 0": config.fresh_masking > 0,
        "exemplars.fresh_coding: new questions come whole; set false": config.fresh_coding,
        "exemplars.dropped: black is of pictures; choose absent": config.dropped != "absent",
        "exemplars.remask: exemplars of questions are masked once; set 1": config.remask < 1,
        "evaluation.classifier: nearest_mean is of classes; choose head": (experiment.evaluation.classifier != "head"),
    }
    if wrong := [line for line, is_so in refused.items() if is_so]:
        raise ValueError(wrong[0])


def with_usual_replay(values: object) -> object:
    """An experiment's raw sections, those of modalities without the augmentations of classes where nothing is said."""
    if not (isinstance(values, dict) and _is_of_modalities(values.get("scenario"))):
        return values
    exemplars = values.get("exemplars", {})
    if not isinstance(exemplars, dict):
        return values
    return {**values, "exemplars": {"swap_probability": 0.0, "fresh_masking": 0.0, **exemplars}}


def _is_of_modalities(scenario: object) -> bool:
    return isinstance(scenario, dict) and scenario.get("kind") == "modality_incremental"

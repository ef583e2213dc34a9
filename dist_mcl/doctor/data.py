"""The data of an experiment: whether a run would find them, and begin."""

from __future__ import annotations

from collections.abc import Iterator

from dist_mcl.config import Experiment
from dist_mcl.coordinator.requirements import check_scoring, check_vectors
from dist_mcl.doctor.finding import Finding, refused
from dist_mcl.errors import UserError
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.questions.stages import StageQuestions, check_data, left_out, read_stage
from dist_mcl.scenario.readers import open_splits


def data(experiment: Experiment) -> Iterator[Finding]:
    """What a run looks at before it begins: annotations, that each media file is there, and sums of prepared sets."""
    if isinstance(experiment.scenario, ModalityIncremental):
        yield from _of_modalities(experiment, experiment.scenario)
        return
    try:
        splits = open_splits(experiment.data, experiment.seed)
        for split in splits.values():
            split.check()
    except UserError as error:
        yield refused("data", error)
        return
    train, test = (len(splits[name]) for name in ("train", "test"))
    yield Finding("data", "fine", f"{experiment.data.dataset}: {train} samples to learn from, {test} to test on")


def _of_modalities(experiment: Experiment, scenario: ModalityIncremental) -> Iterator[Finding]:
    stages = []
    for number, config in enumerate(scenario.stages, start=1):
        try:
            stage = read_stage(number, config)
            check_data([config], [stage])
            check_vectors(experiment, [stage])
        except UserError as error:
            yield refused("data", error)
        else:
            stages.append(stage)
            yield from _about(stage)
    try:
        check_scoring(experiment, stages)
    except UserError as error:
        yield refused("captions", error)


def _about(stage: StageQuestions) -> Iterator[Finding]:
    asked = sum(map(len, stage.tests.values()))
    says = f"stage {stage.number}, {stage.modality}: {len(stage.train)} questions to learn from, {asked} to test on"
    yield Finding("data", "fine", says)
    for line in left_out([stage]):
        yield Finding("data", "note", line)

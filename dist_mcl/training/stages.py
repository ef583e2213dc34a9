"""Which kind of stage a run has."""

from __future__ import annotations

from dist_mcl.question_config import ModalityIncremental
from dist_mcl.run_folder import RunFolder
from dist_mcl.training.stage_run import StageRun


def stage_run(run: RunFolder) -> type[StageRun]:
    """What runs the stages of a run."""
    if isinstance(run.experiment.scenario, ModalityIncremental):
        from dist_mcl.training.modality_stage import ModalityStageRun

        return ModalityStageRun
    from dist_mcl.training.stage import ClassStageRun

    return ClassStageRun

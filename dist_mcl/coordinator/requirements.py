"""What has to be there before a run over modalities begins: `mcl run` refuses to begin, `mcl doctor` says what is."""

from __future__ import annotations

from collections.abc import Sequence

from dist_mcl.answer_config import AS_CAPTIONS
from dist_mcl.config import Experiment
from dist_mcl.encoder_config import CustomFeatures, VectorFeatures
from dist_mcl.errors import UserError
from dist_mcl.evaluation.captions import check_captions_can_be_scored
from dist_mcl.media_rules import LanguageConfig, media_of
from dist_mcl.packages.pretrained import checkpoint_files
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.scenario.questions.stages import StageQuestions


def check_models(experiment: Experiment) -> None:
    """See that all models of a backbone that answers are there.

    Raises:
        UserError: one is not; with the mend.
    """
    backbone = experiment.model.backbone
    assert isinstance(backbone, LanguageConfig)  # others are refused for modalities
    check_has_weights(backbone)
    checkpoint_files(backbone, media_of(experiment))


def check_has_weights(backbone: LanguageConfig) -> None:
    """Raises UserError for a backbone that is sizes alone."""
    if isinstance(backbone, QFormerConfig) and backbone.path is None and backbone.layout != "tiny":
        raise UserError(
            f"model.backbone.path: missing, and layout {backbone.layout} is without weights, for mcl params; name a "
            "checkpoint, or choose layout: tiny to try out"
        )


def check_language_model(experiment: Experiment) -> None:
    """As `check_models`, of what a rehearsal needs: the language model alone, and none where weights are random."""
    backbone = experiment.model.backbone
    assert isinstance(backbone, LanguageConfig)
    checkpoint_files(backbone, {})


def check_custom_encoders(experiment: Experiment) -> None:
    """See that encoders of the user's own can be made. Raises UserError."""
    for medium in media_of(experiment).values():
        if isinstance(medium.encoder, CustomFeatures):
            from dist_mcl.backbones.encoders import open_custom_encoder  # seconds to import

            open_custom_encoder(f"{medium.place}.encoder", medium.encoder)


def check_scoring(experiment: Experiment, stages: Sequence[StageQuestions]) -> None:
    """See that captions can be scored, where any are asked for. Raises UserError."""
    tests = (questions for stage in stages for questions in stage.tests.values())
    if any(asked.task in AS_CAPTIONS for questions in tests for asked in questions.questions):
        check_captions_can_be_scored(experiment.evaluation.captions)


def check_vectors(experiment: Experiment, stages: Sequence[StageQuestions]) -> None:
    """See that vectors which are shown as they are have the width that is said of them, by the first of each stage.

    Raises:
        UserError: they have another one, or cannot be read.
    """
    media = media_of(experiment)
    for stage in stages:
        medium = media[stage.modality]
        if isinstance(medium.encoder, VectorFeatures):
            shape = stage.train.sample(0, stage.number).tokens[stage.modality].values.shape[1:]
            if shape != (medium.encoder.features,):
                there = f"vectors of width {shape[0]}; set that" if len(shape) == 1 else f"no vectors but {shape}"
                raise UserError(
                    f"{medium.place}.encoder.features: {medium.encoder.features}, and the tokens of "
                    f"{stage.train.source(0)} are {there}"
                )

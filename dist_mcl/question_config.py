"""Data sets of questions about media, and the stages of modality-incremental learning: one section each.

`dataset` says which of the sections below holds; each has one reader in `dist_mcl.scenario.questions.readers`. What the
data sets are, where they come from and how their folders look: docs/data.md.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from dist_mcl.answer_config import Generation
from dist_mcl.data_config import Folder
from dist_mcl.encoder_config import MediumEntry
from dist_mcl.modality_config import TOKENS, TokensConfig
from dist_mcl.section import Section


class _Questions(Section):
    has: ClassVar[tuple[str, ...]] = ()  # modalities; any when empty
    on_request: ClassVar[tuple[str, ...]] = ()  # tasks that are asked only where `tasks` names them

    tasks: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="kinds of questions that are asked; when left out all, but captions of shapes and notes",
    )
    max_questions: int | None = Field(
        None, ge=1, description="training and test questions of each task, evenly spaced, for quick trials"
    )
    max_test_questions: int | None = Field(
        None, ge=1, description="test questions of each task; as many as max_questions when left out"
    )
    generation: dict[str, Generation] = Field(
        {},
        description="by task, how free answers are generated; when left out as published for the data set, else "
        "evaluation.generation",
    )


class PreparedData(_Questions):
    """A set that `mcl data prepare` makes."""

    on_request = ("caption",)
    dataset: str
    folder: Folder | None = Field(None, description="where the data set lies; its usual place when left out")


class ShapesData(PreparedData):
    """Pictures, clips, depth maps and point clouds of real 3-D models; made by `mcl data prepare shapes`."""

    has = ("image", "video", "depth", "point_cloud")
    dataset: Literal["shapes"]


class NotesData(PreparedData):
    """Recorded notes of instruments; made by `mcl data prepare notes`."""

    has = ("audio",)
    dataset: Literal["notes"]


class _Official(_Questions):
    folder: Folder = Field(description="where the data set lies, see docs/data.md for its layout")
    missing_media: Literal["refuse", "skip"] = Field(
        "refuse", description="a question whose media file is not there: refuse the data, or leave the question out"
    )


class ManifestData(_Official):
    """Questions of your own: train.jsonl and test.jsonl that name media files of any modality."""

    dataset: Literal["manifest"]


class MSRVTTData(_Official):
    """MSR-VTT: films with captions and questions, as LAVIS lays it out."""

    has = ("video",)
    dataset: Literal["msrvtt"]
    evaluate_on: Literal["val", "test"] = "val"


class MSVDData(_Official):
    """MSVD: films with captions and questions, as LAVIS lays it out."""

    has = ("video",)
    dataset: Literal["msvd"]
    evaluate_on: Literal["val", "test"] = "test"


class AudioCapsData(_Official):
    """AudioCaps: sounds with captions, and questions made of them."""

    has = ("audio",)
    dataset: Literal["audiocaps"]
    evaluate_on: Literal["val", "test"] = Field("val", description="only val has questions besides captions")


class ClothoData(_Official):
    """Clotho: sounds with five captions each."""

    has = ("audio",)
    dataset: Literal["clotho"]
    evaluate_on: Literal["validation", "evaluation"] = "evaluation"


class ClothoAQAData(_Official):
    """Clotho-AQA: questions about sounds, answered by three people each."""

    has = ("audio",)
    dataset: Literal["clotho_aqa"]
    evaluate_on: Literal["val", "test"] = "test"


class ESC50Data(_Official):
    """ESC-50: sounds of 50 classes, in five folds."""

    has = ("audio",)
    dataset: Literal["esc50"]
    test_fold: int = Field(5, ge=1, le=5, description="fold that plays the test split")


class FusionDepthData(_Official):
    """Captions of CC3M and conversations of LLaVA about depth maps that were estimated from their pictures."""

    has = ("depth",)
    dataset: Literal["fusion_depth"]


class SceneDepthData(_Official):
    """Scenes of SUN RGB-D or NYU-v2, to be told from their depth maps; for testing only."""

    has = ("depth",)
    dataset: Literal["sun_rgbd", "nyu_v2"]


class ObjaverseData(_Official):
    """Objaverse's models as point clouds, with the captions and questions of Cap3D."""

    has = ("point_cloud",)
    dataset: Literal["objaverse"]


class ModelNet40Data(_Official):
    """ModelNet40: models of 40 classes as point clouds."""

    has = ("point_cloud",)
    dataset: Literal["modelnet40"]


AnyQuestions = (
    ShapesData
    | NotesData
    | ManifestData
    | MSRVTTData
    | MSVDData
    | AudioCapsData
    | ClothoData
    | ClothoAQAData
    | ESC50Data
    | FusionDepthData
    | SceneDepthData
    | ObjaverseData
    | ModelNet40Data
)


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Sources = Annotated[
    tuple[Annotated[AnyQuestions, Field(discriminator="dataset")], ...],
    BeforeValidator(_listed),
]


class ModalityStage(MediumEntry):
    """A stage: one modality, with what is learned about it. A modality is this entry, and no code."""

    tokens: TokensConfig = Field(description="how its media become tokens; may be left out for the modalities of old")
    data: Sources = Field(
        min_length=1, description="data sets to learn from, whose test splits are tested on; one or a list"
    )
    test_only: Sources = Field((), description="data sets that are tested on and never learned from; one or a list")

    @model_validator(mode="before")
    @classmethod
    def _usual_tokens(cls, values: object) -> object:
        if not isinstance(values, dict) or "tokens" in values or not isinstance(values.get("modality"), str):
            return values
        name = values["modality"]
        if name not in TOKENS:
            raise ValueError(
                f"modality {name!r} is new: say how its media become tokens, by tokens: features or tokens: {{kind: "
                f"custom, path: FILE.py:NAME}} (docs/add-a-modality.md); {', '.join(TOKENS)} are known"
            )
        return {**values, "tokens": {"kind": name}}

    @model_validator(mode="after")
    def _data_of_this_modality(self) -> ModalityStage:
        for source in (*self.data, *self.test_only):
            if source.has and self.modality not in source.has:
                raise ValueError(
                    f"dataset {source.dataset} has {', '.join(source.has)}, but no {self.modality}; choose another one"
                )
        only_tests = [source.dataset for source in self.data if isinstance(source, SceneDepthData)]
        if only_tests:
            raise ValueError(f"dataset {only_tests[0]} has nothing to learn from; name it under test_only")
        return self


class ModalityIncremental(Section):
    """What arrives when: modalities in the order of the list, each with data of its own, arXiv 2410.20178."""

    kind: Literal["modality_incremental"]
    stages: tuple[ModalityStage, ...] = Field(min_length=1, description="modalities in the order in which they arrive")
    joint: bool = Field(
        False,
        description="learn all of them at once, in one stage: no continual learning; usually meant as its upper bound, "
        "which is not guaranteed",
    )

    @model_validator(mode="after")
    def _each_once(self) -> ModalityIncremental:
        names = [stage.modality for stage in self.stages]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"modality {twice[0]} arrives twice; join the data of its two stages in one")
        return self

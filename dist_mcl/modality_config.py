"""How the media of a modality become tokens: one section a kind. docs/add-a-modality.md adds one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dist_mcl.section import Section, named_kind


class ImageTokens(Section):
    """Square patches of a picture that is scaled to a square."""

    kind: Literal["image"] = "image"
    side: int = Field(96, ge=1, description="pixels of the square's side")
    patch: int = Field(16, ge=1, description="pixels of a patch's side")

    @model_validator(mode="after")
    def _whole_patches(self) -> ImageTokens:
        _check_divides(self, "side", "patch")
        return self


class VideoTokens(Section):
    """Tubelets of frames that are evenly spaced over a clip and scaled to a square."""

    kind: Literal["video"] = "video"
    frames: int = Field(8, ge=1, description="frames taken of a clip")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    side: int = Field(48, ge=1, description="pixels of a frame's side")
    patch: int = Field(16, ge=1, description="pixels of a patch's side")

    @model_validator(mode="after")
    def _whole_tubelets(self) -> VideoTokens:
        _check_divides(self, "frames", "tubelet")
        _check_divides(self, "side", "patch")
        return self


class AudioTokens(Section):
    """Patches of the log-mel spectrogram that Whisper takes: 16 kHz, 25 ms windows, 100 frames a second."""

    kind: Literal["audio"] = "audio"
    seconds: float = Field(
        1.0, gt=0, le=600, description="of a recording; more is cut off, less is filled with silence"
    )
    bins: int = Field(80, ge=1, description="mel bins; 80 for most of Whisper's sizes")
    patch_bins: int = Field(16, ge=1, description="bins of a token")
    patch_frames: int = Field(10, ge=1, description="frames of 10 ms of a token")

    @property
    def frames(self) -> int:
        """Frames of a spectrogram: 100 a second."""
        return round(self.seconds * 100)

    @model_validator(mode="after")
    def _whole_patches(self) -> AudioTokens:
        _check_divides(self, "bins", "patch_bins")
        if not self.frames or self.frames % self.patch_frames:
            raise ValueError(
                f"seconds {self.seconds} are {self.frames} frames, no multiple of patch_frames {self.patch_frames}"
            )
        return self


class DepthTokens(Section):
    """Square patches of a map of distances that is scaled to a square."""

    kind: Literal["depth"] = "depth"
    side: int = Field(96, ge=1, description="pixels of the square's side")
    patch: int = Field(16, ge=1, description="pixels of a patch's side")

    @model_validator(mode="after")
    def _whole_patches(self) -> DepthTokens:
        _check_divides(self, "side", "patch")
        return self


class PointTokens(Section):
    """Groups of neighbouring points around centres that lie far apart, as in Point-BERT, arXiv 2111.14819."""

    kind: Literal["point_cloud"] = "point_cloud"
    groups: int = Field(64, ge=1, description="tokens of a cloud")
    group: int = Field(32, ge=1, description="points of a token, beside its centre")


class FeatureTokens(Section):
    """Vectors as they are: rows of a table, windows of a sensor's readings, features of an encoder of one's own."""

    kind: Literal["features"] = "features"
    units: int | None = Field(
        None, ge=1, description="the vectors of a file are so many units of equal length, such as a recording's windows"
    )


def _import_path(value: str) -> str:
    """`file.py:Name` with the file's absolute path, `module:Name` as it is."""
    module, colon, name = value.rpartition(":")
    if not colon or not module or not name.isidentifier():
        raise ValueError(f"{value!r} is neither FILE.py:NAME nor MODULE:NAME")
    return f"{Path(module).absolute()}:{name}" if module.endswith(".py") else value


ImportPath = Annotated[str, AfterValidator(_import_path)]


class CustomTokens(Section):
    """A tokenizer of one's own."""

    kind: Literal["custom"] = "custom"
    path: ImportPath = Field(description="its class, as FILE.py:NAME or MODULE:NAME")
    options: dict[str, Any] = Field({}, description="what it is made with, as keywords")


AnyTokens = ImageTokens | VideoTokens | AudioTokens | DepthTokens | PointTokens | FeatureTokens | CustomTokens
TOKENS = {
    kind.model_fields["kind"].default: kind
    for kind in (ImageTokens, VideoTokens, AudioTokens, DepthTokens, PointTokens, FeatureTokens)
}

TokensConfig = Annotated[Annotated[AnyTokens, Field(discriminator="kind")], BeforeValidator(named_kind)]
ModalityName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


def _check_divides(section: Section, whole: str, part: str) -> None:
    if getattr(section, whole) % getattr(section, part):
        raise ValueError(f"{whole} {getattr(section, whole)} is no multiple of {part} {getattr(section, part)}")

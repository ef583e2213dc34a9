"""How a backbone is shown the media of a modality: its encoder, and what stands around its tokens in a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dist_mcl.modality_config import ImportPath, ModalityName
from dist_mcl.section import Section, named_kind


def _folder_or_id(value: str) -> str:
    # A folder is meant from where the run is begun, wherever its processes run.
    return str(Path(value).expanduser().absolute()) if Path(value).expanduser().is_dir() else value


CheckpointPath = Annotated[str, AfterValidator(_folder_or_id)]


class PictureFeatures(Section):
    """EfficientNet-Lite0, pretrained on ImageNet and frozen: of pictures, depth maps and the frames of clips."""

    kind: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    side: int = Field(96, ge=32, description="pixels of the square to which a picture is scaled")
    cells: int = Field(3, ge=1, description="tokens along each side of a picture")


class SoundFeatures(Section):
    """The encoder of Whisper tiny.en, frozen."""

    kind: Literal["whisper-tiny.en"] = "whisper-tiny.en"
    seconds: float = Field(1.0, gt=0, le=30, description="of a recording, as its tokenizer makes them")
    pool: int = Field(5, ge=1, description="positions of 20 ms that are averaged to one token")


class PointFeatures(Section):
    """A small PointNet that trains with its modality."""

    kind: Literal["points"] = "points"
    features: int = Field(256, ge=1, description="width of what a group of points becomes")


class InstructBlipFeatures(Section):
    """The InstructBLIP checkpoint's own picture encoder, frozen: of pictures, depth maps and the frames of clips."""

    kind: Literal["instructblip"] = "instructblip"


class HuggingFaceFeatures(Section):
    """Any picture encoder in Hugging Face's format, frozen, such as ViT, CLIP, SigLIP or DINO."""

    kind: Literal["huggingface"]
    path: CheckpointPath = Field(description="folder of a checkpoint, or owner/model of one that was fetched")


class VectorFeatures(Section):
    """Vectors as they are, for tokens of kind features."""

    kind: Literal["vectors"]
    features: int = Field(ge=1, description="their width")


class CustomFeatures(Section):
    """An encoder of one's own: a `MediaEncoder` of dist_mcl.backbones.media_encoders."""

    kind: Literal["custom"]
    path: ImportPath = Field(description="its class, as FILE.py:NAME or MODULE:NAME")
    options: dict[str, Any] = Field({}, description="what it is made with, as keywords")


Encoder = (
    PictureFeatures
    | SoundFeatures
    | PointFeatures
    | InstructBlipFeatures
    | HuggingFaceFeatures
    | VectorFeatures
    | CustomFeatures
)


class Medium(Section):
    """How a language model is shown one modality, nothing left out; and where the configuration says so."""

    place: str
    encoder: Annotated[Encoder, Field(discriminator="kind")]
    cue: str
    units: bool = False


class MediumEntry(Section):
    """A modality's name, and what is said of how the language model is shown it."""

    modality: ModalityName = Field(description="its name; samples carry their tokens under it")
    encoder: Annotated[Encoder | None, Field(discriminator="kind"), BeforeValidator(named_kind)] = Field(
        None,
        description="what makes features of its tokens: a section with its kind, or the kind alone; what the backbone "
        "usually has for such tokens when left out",
    )
    cue: str | None = Field(None, description="what is said before its tokens; 'image: ' by its name when left out")
    units: bool = Field(
        False,
        description="of qformer: a clip's moments, a recording's windows are shown one by one, not all at once",
    )

    def medium(self, place: str, usual: Encoder | None) -> Medium:
        """The same with nothing left out.

        Args:
            place: of the entry in the configuration, for messages.
            usual: encoder where the entry says none.

        Raises:
            ValueError: there is none.
        """
        encoder = self.encoder or usual
        if encoder is None:
            raise ValueError(f"modality {self.modality} has no encoder")
        cue = f"{self.modality.replace('_', ' ')}: " if self.cue is None else self.cue
        return Medium(place=place, encoder=encoder, cue=cue, units=self.units)

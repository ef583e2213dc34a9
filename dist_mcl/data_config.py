"""The `data` and `scenario` sections of an experiment: what is learned from, and what of it arrives when.

`data.dataset` says which of the sections below holds; each has one reader in `dist_mcl.scenario.readers`. What the data
sets are, where they come from and how their folders look: docs/data.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dist_mcl.section import Section

Folder = Annotated[Path, AfterValidator(Path.absolute)]


class Absent(Section):
    """Which shares of the samples lack a modality; none lacks both."""

    image: float = Field(0.0, ge=0, le=1, description="share without a picture")
    text: float = Field(0.0, ge=0, le=1, description="share without a text")

    @model_validator(mode="after")
    def _one_stays(self) -> Absent:
        if self.image + self.text > 1:
            raise ValueError(f"image {self.image} and text {self.text} are more than 1 together; lower one of them")
        return self


class _Source(Section):
    modalities: tuple[Literal["image", "text"], ...] = Field(
        ("image", "text"), min_length=1, description="what of each sample is seen; text alone is a control"
    )
    max_per_class: int | None = Field(None, ge=1, description="training and test samples of a class, for quick trials")
    absent_in_train: Absent = Field(Absent(), description="what training samples lack, and so exemplars of them")
    absent_in_test: Absent = Field(Absent(), description="what test samples lack")

    @model_validator(mode="after")
    def _nothing_is_lost_that_is_all(self) -> Self:
        for name, absent in (("absent_in_train", self.absent_in_train), ("absent_in_test", self.absent_in_test)):
            if len(self.modalities) == 1 and (absent.image or absent.text):
                raise ValueError(f"{name} needs modalities: [image, text]; with one of them nothing would be left")
        return self


class _Drawings(_Source):
    folder: Folder | None = Field(None, description="where the dataset lies; its usual place when left out")
    text: Literal["hard", "full"] = Field("hard", description="hard: a few words, none of which names a class")
    scene_seed: int | None = Field(
        None, ge=0, lt=2**31, description="of places, sizes, crops and words; the experiment's own seed when left out"
    )


class EmojiData(_Drawings):
    """Emoji by eight artists, with keywords; comes with the package."""

    dataset: Literal["emoji"] = "emoji"
    scene: Literal["none", "photo"] = Field("photo", description="background of each picture: white, or a photograph")


class CddaData(_Drawings):
    """Things of the game Cataclysm-DDA by nine artists, with descriptions; made by `mcl data prepare cdda`."""

    dataset: Literal["cdda"]
    scene: Literal["none", "photo"] = Field("none", description="background of each picture: white, or a photograph")


class _Photographs(_Source):
    folder: Folder = Field(description="where the dataset lies, see docs/data.md for its layout")
    missing_text: Literal["refuse", "skip", "empty"] = Field(
        "refuse",
        description="a picture without a text: refuse the data, leave the picture out, or learn from the picture alone",
    )


class Food101Data(_Photographs):
    """UPMC Food-101: photographs of dishes, with the titles of the web pages that they come from."""

    dataset: Literal["food101"]
    evaluate_on: Literal["val", "test"] = "test"


class _Folders(_Photographs):
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="for a folder without train/ and test/: share of each class for testing, drawn with seed 1993",
    )


class ImageNetRData(_Folders):
    """ImageNet-R, with a captions.jsonl: MM-ImageNet-R of arXiv 2412.09549."""

    dataset: Literal["imagenet_r"]


class ImageFolderData(_Folders):
    """A folder of pictures for each class, with a captions.jsonl."""

    dataset: Literal["image_folder"]


_GENRES = (
    "a film has several genres and is to get one class; say data.genre: only (films with exactly one genre) or "
    "data.genre: first (the first that is listed, of all films)"
)


class MMIMDbData(_Photographs):
    """MM-IMDb: film posters, with plots. Multi-label: which genre is the class has to be said."""

    dataset: Literal["mm_imdb"]
    genre: Literal["only", "first"] | None = Field(None, description="the genre that is a film's class; required")
    evaluate_on: Literal["dev", "test"] = "test"

    @model_validator(mode="after")
    def _one_class_each(self) -> MMIMDbData:
        if self.genre is None:
            raise ValueError(_GENRES)
        return self


class HatefulMemesData(_Photographs):
    """Hateful Memes: two classes, hateful or not."""

    dataset: Literal["hateful_memes"]
    evaluate_on: Literal["dev", "test"] = Field("test", description="the test file of the competition has no labels")


class HuggingFaceData(_Photographs):
    """A folder that `datasets.Dataset.save_to_disk` has written, or a folder of the datasets cache."""

    dataset: Literal["huggingface"]
    train_split: str = "train"
    test_split: str = "test"
    image: str = Field("image", description="column with the pictures")
    text: str = Field("text", description="column with the texts, one or a list of them each")
    label: str = Field("label", description="column with the classes: ClassLabel, names or numbers")


class WebDatasetData(_Photographs):
    """WebDataset tars: KEY.jpg, KEY.txt and KEY.cls, or KEY.json with label and text."""

    dataset: Literal["webdataset"]
    train: str = Field("train*.tar", description="the training tars, a pattern within the folder")
    test: str = Field("test*.tar", description="the test tars, a pattern within the folder")


AnyData = (
    EmojiData
    | CddaData
    | Food101Data
    | ImageNetRData
    | ImageFolderData
    | MMIMDbData
    | HatefulMemesData
    | HuggingFaceData
    | WebDatasetData
)


def _emoji_unless_said(value: object) -> object:
    return {"dataset": "emoji", **value} if isinstance(value, dict) else value


Data = Annotated[Annotated[AnyData, Field(discriminator="dataset")], BeforeValidator(_emoji_unless_said)]


class Scenario(Section):
    """What arrives when: equal stages, or a base and increments."""

    kind: Literal["class_incremental"] = "class_incremental"
    stages: int | None = Field(
        5, ge=1, description="equally large stages, the first ones take the remainder; null with scenario.increment"
    )
    increment: int | None = Field(
        None, ge=1, description="classes of every stage after the first; the last one takes what is left"
    )
    base: int | None = Field(None, ge=1, description="classes of the first stage; scenario.increment when left out")
    class_seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="the class order of PILOT and its relatives, who publish with 1993: numpy.random.RandomState(seed)."
        "permutation; the experiment's own seed and generator when left out",
    )

    @model_validator(mode="before")
    @classmethod
    def _increments_have_no_number(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("increment") is not None:
            return {"stages": None, **values}
        return values

    @model_validator(mode="after")
    def _one_rule(self) -> Scenario:
        if (self.stages is None) == (self.increment is None):
            raise ValueError("say either stages or increment: stages for equal ones, increment (and base) for others")
        if self.base is not None and self.increment is None:
            raise ValueError(f"base {self.base} needs increment, the classes of every later stage")
        return self

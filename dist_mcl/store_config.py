"""How an experiment's exemplars lie on the disk: the code of their pictures, and the rules of the store.

Part of the section `exemplars`. The codes are the store's own; docs/store.md has what each of them costs and gives.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from dist_mcl.section import Section, named_kind


class JpegCodec(Section):
    """Baseline JPEG, tables stored once for all; patches can be taken from it later with nothing lost."""

    kind: Literal["jpeg"] = "jpeg"
    quality: int = Field(90, ge=1, le=95, description="of libjpeg")
    subsampling: Literal["4:2:0", "4:4:4"] = Field("4:2:0", description="of colours; 4:4:4 takes 30 % more bytes")


class WebpCodec(Section):
    """WebP: fewer bytes than JPEG at the same error, slower to write and to read."""

    kind: Literal["webp"] = "webp"
    quality: int = Field(85, ge=0, le=100, description="of libwebp; 85 has about the error of jpeg at 90")


class AvifCodec(Section):
    """AVIF: fewer bytes still, ten times as slow to write as WebP."""

    kind: Literal["avif"] = "avif"
    quality: int = Field(85, ge=0, le=100)
    subsampling: Literal["4:2:0", "4:4:4"] = Field("4:2:0", description="of colours")


class JxlCodec(Section):
    """JPEG XL; needs the package imagecodecs."""

    kind: Literal["jxl"] = "jxl"
    distance: float = Field(1.0, ge=0, le=15, description="Butteraugli distance; 0 loses nothing")
    effort: int = Field(4, ge=1, le=9, description="of the encoder")


class WebpLosslessCodec(Section):
    """Every pixel as it was, in about half of the raw bytes."""

    kind: Literal["webp-lossless"] = "webp-lossless"


class PredictedCodec(Section):
    """Every pixel as it was; faster to write than webp-lossless, and larger."""

    kind: Literal["predicted"] = "predicted"


AnyImageCodec = JpegCodec | WebpCodec | AvifCodec | JxlCodec | WebpLosslessCodec | PredictedCodec
ImageCodec = Annotated[AnyImageCodec, Field(discriminator="kind"), BeforeValidator(named_kind)]


def loses_by_recoding(codec: AnyImageCodec) -> bool:
    """Whether the patches that stay lose quality when others are taken from a coded picture."""
    return isinstance(codec, WebpCodec | AvifCodec) or (isinstance(codec, JxlCodec) and codec.distance > 0)


def whole_picture(codec: AnyImageCodec) -> JpegCodec:
    """The file that a user would keep instead of an exemplar, whose bytes are shown beside it.

    The same JPEG; quality 90 where exemplars have another code.
    """
    return codec if isinstance(codec, JpegCodec) else JpegCodec()


class StoreRules(Section):
    """How the store divides its budget, and how it goes about on the disk."""

    share: Literal["total", "class", "modality"] = Field(
        "total",
        description="what stays when not everything fits. total: the best ranks of all classes; class, modality: as "
        "many bytes of each, those that need fewer leave the rest to the others",
    )
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="with share class or modality: by its name how many shares it gets, 1 when left out"
    )
    keep_generations: int = Field(
        1,
        ge=1,
        lt=2**31,
        description="states of the memory that stay on the disk, the newest included, for exemplar-store diff and "
        "rollback; older ones do not count against the budget",
    )
    evict_first: bool = Field(
        False,
        description="for a disk that cannot hold the memory twice: remove what leaves before what is new is written; a "
        "crash in between leaves a smaller memory",
    )

    @model_validator(mode="after")
    def _weights_are_for_shares(self) -> StoreRules:
        if self.weights and self.share == "total":
            raise ValueError("weights need share class or modality; with total there are no shares")
        known = ("image", "text", "surround", "logits")
        if self.share == "modality" and (unknown := sorted(set(self.weights) - set(known))):
            raise ValueError(f"weights: {unknown[0]!r} is no modality of exemplars; choose from {', '.join(known)}")
        return self

"""The code of pictures that an experiment names is what everything sizes and stores with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from dist_mcl import config
from dist_mcl.errors import UserError
from dist_mcl.exemplars.codecs import codecs_for
from dist_mcl.exemplars.maskers import Picture, exact, keep_patches
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.store_config import AnyImageCodec, ImageCodec, loses_by_recoding, whole_picture
from dist_mcl.tokens import Tokens
from exemplar_store import Codec, StoreError

CODECS: list[dict[str, Any]] = [
    {"kind": "jpeg"},
    {"kind": "jpeg", "quality": 60, "subsampling": "4:4:4"},
    {"kind": "webp"},
    {"kind": "webp", "quality": 40},
    {"kind": "avif", "quality": 50},
    {"kind": "jxl", "effort": 3},
    {"kind": "jxl", "distance": 0},
    {"kind": "webp-lossless"},
    {"kind": "predicted"},
]
codec_of = TypeAdapter(ImageCodec).validate_python


def smooth(count: int, patch: int) -> np.ndarray:
    """Patches of a noisy slope."""
    dice = np.random.default_rng(0)
    slope = np.add.outer(np.arange(patch), np.arange(count * patch)) % 200
    strip = slope[..., None] + dice.integers(0, 30, (patch, count * patch, 3))
    return strip.reshape(patch, count, patch, 3).swapaxes(0, 1).astype(np.uint8)


def made(fields: dict[str, Any], patch: int = 16) -> Codec:
    return codecs_for(config.Exemplars(image_codec=fields), 30_522, patch)["image"]


def test_every_code_is_in_the_table() -> None:
    assert {one["kind"] for one in CODECS} == {
        get_args(one.model_fields["kind"].annotation)[0] for one in get_args(AnyImageCodec)
    }
    assert config.Exemplars(image_codec="webp").image_codec == codec_of({"kind": "webp"})


@pytest.mark.parametrize("patch", [16, 32])
@pytest.mark.parametrize("fields", CODECS, ids=str)
def test_the_store_codes_as_the_experiment_says(fields: dict[str, Any], patch: int) -> None:
    codec, patches = made(fields, patch), smooth(10, patch)
    assert codec.name == fields["kind"]
    assert fields.items() <= ({"kind": codec.name} | codec.model_dump()).items()
    assert codecs_for(config.Exemplars(image_codec=fields), 30_522, patch)[SURROUND] == codec
    payload = codec.encode(patches)
    back = codec.decode(payload, 10)
    is_exact = fields["kind"] in ("webp-lossless", "predicted") or fields.get("distance") == 0
    assert np.array_equal(back, patches) == is_exact
    assert np.abs(back.astype(int) - patches).mean() < 12


@pytest.mark.parametrize("fields", CODECS, ids=str)
def test_what_can_be_masked_again_is_what_the_store_can_thin_out(fields: dict[str, Any], tmp_path: Path) -> None:
    codec, patches = made(fields), np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    payload, kept = codec.encode(patches), np.arange(10) % 3 == 0
    file = tmp_path / "experiment.yaml"
    file.write_text("name: small\nexemplars: {remask: 0.5}\n")
    if loses_by_recoding(codec_of(fields)):
        with pytest.raises(StoreError, match="without coding the others again"):
            codec.take(payload, 10, kept)
        with pytest.raises(UserError, match=r"exemplars: remask 0\.5 would code pictures of image_codec"):
            config.load(file, [f"exemplars.image_codec={fields}"])
    else:
        assert codec.decode(codec.take(payload, 10, kept), 4).shape == (4, 16, 16, 3)
        assert config.load(file, [f"exemplars.image_codec={fields}"]).exemplars.image_codec == codec_of(fields)


@pytest.mark.parametrize("fields", [{"kind": "jpeg", "quality": 75}, {"kind": "webp"}, {"kind": "predicted"}], ids=str)
def test_a_byte_target_is_one_of_the_code_that_is_set(fields: dict[str, Any]) -> None:
    codec, scores = made(fields), np.random.default_rng(1).random(36).astype(np.float32)
    image = Tokens.full(smooth(36, 16), (6, 6))
    target = len(codec.encode(image.values)) // 3
    kept = keep_patches(config.RateMasker(image_bytes=target), Picture(image, exact(scores), codec, (0, 0)))
    best = np.argsort(-scores)[: kept.sum() + 1]
    assert kept.sum() > 3
    assert len(codec.encode(image.values[kept])) <= target < len(codec.encode(image.values[np.sort(best)]))


def test_the_whole_picture_that_is_compared_is_a_jpeg() -> None:
    jpeg = codec_of({"kind": "jpeg", "quality": 75, "subsampling": "4:4:4"})
    assert whole_picture(jpeg) == jpeg
    assert whole_picture(codec_of({"kind": "webp", "quality": 10})) == codec_of({"kind": "jpeg", "quality": 90})

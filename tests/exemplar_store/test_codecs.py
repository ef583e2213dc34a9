"""Every codec against one table: what goes in comes out, and what it cannot hold it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exemplar_store import CODECS, Codec, Jpeg, Raw, StoreError, TokenIds, UnsupportedFormat, whole_image_bytes
from exemplar_store.codecs import Encoding, codec_of
from exemplar_store.errors import Damaged

PATCHES = np.random.default_rng(0).integers(100, 140, (5, 16, 16, 3)).astype(np.uint8)
IDS = np.array([0, 65_535, 7], np.int32)

# codec, values, greatest mean absolute error, values that it must refuse
TABLE: list[tuple[Codec, np.ndarray, float, np.ndarray]] = [
    (Jpeg(quality=95, subsampling="4:4:4"), PATCHES, 4.0, PATCHES[:, :8]),
    (Jpeg(quality=90), PATCHES, 12.0, PATCHES.astype(np.float32)),
    (Jpeg(quality=90, patch=14), PATCHES[:, :14, :14], 12.0, PATCHES),
    (Raw(dtype="|u1", token_shape=(16, 16, 3)), PATCHES, 0, PATCHES[:, 0]),
    (Raw(dtype="<f2", token_shape=(4,)), np.ones((3, 4), np.float16), 0, np.ones((3, 4), np.float32)),
    (TokenIds(dtype="<u2"), IDS, 0, IDS + 1),
    (TokenIds(dtype="<u4"), IDS * 1000, 0, IDS.astype(np.int64)),
]


@pytest.mark.parametrize(("codec", "values", "error", "_"), TABLE)
@pytest.mark.parametrize("count", [0, 1, None])
def test_round_trip(codec: Codec, values: np.ndarray, error: float, _: Any, count: int | None) -> None:
    values = values[:count]
    payload = codec.encode(values)
    back = codec_of(codec.encoding, "here").decode(payload, len(values))
    assert back.shape == values.shape and back.dtype == values.dtype
    if len(values):
        assert np.abs(back.astype(float) - values.astype(float)).mean() <= error
    assert codec.encode(values) == payload


@pytest.mark.parametrize(("codec", "_", "__", "wrong"), TABLE)
def test_refuses_what_it_cannot_hold(codec: Codec, _: Any, __: Any, wrong: np.ndarray) -> None:
    with pytest.raises(StoreError, match=codec.name):
        codec.encode(wrong)


@pytest.mark.parametrize(("codec", "values", "_", "__"), TABLE)
def test_a_payload_of_another_length_is_an_error(codec: Codec, values: np.ndarray, _: Any, __: Any) -> None:
    payload = codec.encode(values)
    half = [] if isinstance(codec, Jpeg) else [payload[: len(payload) // 2]]  # JPEG decoders make up what is missing
    for wrong in (b"", *half):
        with pytest.raises(ValueError):
            codec.decode(wrong, len(values))
    with pytest.raises(ValueError):
        codec.decode(payload, 0)


def test_every_codec_is_in_the_table() -> None:
    assert {type(row[0]) for row in TABLE} == set(CODECS.values())


def test_jpeg_payload_is_an_ordinary_jpeg_once_the_header_is_back() -> None:
    """Hoisting the tables changes no pixel: the strip decodes to what Pillow makes of its own whole file."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(list(PATCHES), axis=1)).save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    strip = np.asarray(Image.open(buffer))
    codec = Jpeg(quality=90)
    payload = codec.encode(PATCHES)
    assert np.array_equal(codec.decode(payload, 5), strip.reshape(16, 5, 16, 3).swapaxes(0, 1))
    assert len(buffer.getvalue()) - len(payload) > 600  # what every exemplar would otherwise carry along


def test_strips_too_wide_for_jpeg_are_refused() -> None:
    with pytest.raises(StoreError, match="wider than 65535"):
        Jpeg().encode(np.zeros((4096, 16, 16, 3), np.uint8))


def test_jpeg_header_that_promises_another_size_is_refused_before_decoding() -> None:
    honest = Jpeg()
    lying = Jpeg(patch=32, header=honest.header, width_at=honest.width_at)
    with pytest.raises(ValueError, match="header describes"):
        lying.decode(honest.encode(PATCHES), 5)


def test_unknown_codec_and_bad_parameters_are_named() -> None:
    with pytest.raises(UnsupportedFormat, match=r"seg: payload codec 'jxl' is not known"):
        codec_of(Encoding("jxl", "{}"), "seg")
    with pytest.raises(Damaged, match=r"seg: codec 'jpeg' has a bad quality"):
        codec_of(Encoding("jpeg", '{"quality":200}'), "seg")


def test_vocabulary_decides_the_width_of_ids() -> None:
    assert TokenIds.for_vocabulary(1 << 16).dtype == "<u2"
    assert TokenIds.for_vocabulary((1 << 16) + 1).dtype == "<u4"


def test_whole_image_is_larger_than_its_patches() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    kept = picture.reshape(6, 16, 6, 16, 3).swapaxes(1, 2).reshape(36, 16, 16, 3)[:10]
    assert whole_image_bytes(picture) > 3 * len(Jpeg().encode(kept))

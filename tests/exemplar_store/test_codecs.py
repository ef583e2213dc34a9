"""Every codec against one table: what goes in comes out, and what it cannot hold it refuses."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import features

from exemplar_store import (
    CODECS,
    Avif,
    Bfloat16,
    Codec,
    Int8,
    Jpeg,
    Jxl,
    Predicted,
    Raw,
    Shuffled,
    StoreError,
    TokenIds,
    UnsupportedFormat,
    Webp,
    WebpLossless,
    whole_image_bytes,
)
from exemplar_store.codecs import Encoding, codec_of
from exemplar_store.errors import Damaged

RNG = np.random.default_rng(0)
PATCHES = RNG.integers(100, 140, (5, 16, 16, 3)).astype(np.uint8)
TUBELETS = RNG.integers(100, 140, (5, 2, 16, 16, 3)).astype(np.uint8)
DEPTH = RNG.integers(0, 65_536, (5, 16, 16)).astype(np.uint16)
FEATURES = (RNG.normal(size=(5, 32)) * np.geomspace(0.1, 100, 32)).astype(np.float32)
IDS = np.array([0, 65_535, 7], np.int32)

# codec, values, greatest mean absolute error, values that it must refuse
TABLE: list[tuple[Codec, np.ndarray, float, np.ndarray]] = [
    (Jpeg(quality=95, subsampling="4:4:4"), PATCHES, 4.0, PATCHES[:, :8]),
    (Jpeg(quality=90), PATCHES, 12.0, PATCHES.astype(np.float32)),
    (Jpeg(quality=90, patch=14), PATCHES[:, :14, :14], 12.0, PATCHES),
    (Jpeg(quality=90, frames=2), TUBELETS, 12.0, PATCHES),
    (Webp(quality=90), PATCHES, 12.0, TUBELETS),
    (Webp(quality=90, frames=2), TUBELETS, 12.0, PATCHES),
    (WebpLossless(), PATCHES, 0, PATCHES[:, :8]),
    (WebpLossless(frames=2), TUBELETS, 0, PATCHES),
    (Avif(quality=85), PATCHES, 12.0, PATCHES[..., 0]),
    (Jxl(distance=1.0), PATCHES, 12.0, PATCHES[:, :8]),
    (Jxl(distance=0), PATCHES, 0, PATCHES.astype(np.int16)),
    (Predicted(token_shape=(16, 16, 3)), PATCHES, 0, PATCHES[:, 0]),
    (Predicted(token_shape=(2, 16, 16, 3)), TUBELETS, 0, PATCHES),
    (Predicted(dtype="<u2", token_shape=(16, 16)), DEPTH, 0, DEPTH.astype(np.float32)),
    (Raw(dtype="|u1", token_shape=(16, 16, 3)), PATCHES, 0, PATCHES[:, 0]),
    (Raw(dtype="<f2", token_shape=(4,)), np.ones((3, 4), np.float16), 0, np.ones((3, 4), np.float32)),
    (Shuffled(dtype="<f2", token_shape=(32,)), FEATURES.astype(np.float16), 0, FEATURES),
    (Shuffled(dtype="<f4", token_shape=(4, 8)), FEATURES.reshape(5, 4, 8), 0, FEATURES),
    (Bfloat16(token_shape=(32,)), FEATURES, 0.05, FEATURES * np.float32(np.inf)),
    (Int8.calibrated(FEATURES), FEATURES, 0.1, FEATURES[:, 1:]),
    (Bfloat16(token_shape=(4, 8)), FEATURES.reshape(5, 4, 8), 0.05, FEATURES),
    (Int8.calibrated(FEATURES.reshape(5, 4, 8)), FEATURES.reshape(5, 4, 8), 0.1, FEATURES),
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
    half = payload[: len(payload) // 2]
    makes_up_what_is_missing = isinstance(codec, Jpeg)
    for wrong in (b"",) if makes_up_what_is_missing else (b"", half):
        with pytest.raises(ValueError):
            codec.decode(wrong, len(values))
    for count in (0,) if makes_up_what_is_missing else (0, len(values) - 1, len(values) + 1):
        with pytest.raises(ValueError):
            codec.decode(payload, count)


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
    with pytest.raises(ValueError, match="JPEG header describes"):
        lying.decode(honest.encode(PATCHES), 5)


def test_unknown_codec_and_bad_parameters_are_named() -> None:
    with pytest.raises(UnsupportedFormat, match=r"seg: payload codec 'flif' is not known"):
        codec_of(Encoding("flif", "{}"), "seg")
    with pytest.raises(Damaged, match=r"seg: codec 'jpeg' has a bad quality"):
        codec_of(Encoding("jpeg", '{"quality":200}'), "seg")


def test_vocabulary_decides_the_width_of_ids() -> None:
    assert TokenIds.for_vocabulary(1 << 16).dtype == "<u2"
    assert TokenIds.for_vocabulary((1 << 16) + 1).dtype == "<u4"


def test_whole_image_is_larger_than_its_patches() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    kept = picture.reshape(6, 16, 6, 16, 3).swapaxes(1, 2).reshape(36, 16, 16, 3)[:10]
    assert whole_image_bytes(picture) > 3 * len(Jpeg().encode(kept))


def test_tubelets_lie_in_a_strip_as_high_as_their_frames() -> None:
    strips: list[np.ndarray] = []

    class Watched(WebpLossless):
        def write(self, strip: np.ndarray) -> bytes:
            strips.append(strip)
            return super().write(strip)

    Watched(frames=2).encode(TUBELETS)
    assert strips[0].shape == (32, 80, 3)
    assert np.array_equal(strips[0][16:32, 48:64], TUBELETS[3, 1])


def test_lossy_feature_codecs_keep_their_promise() -> None:
    exact = (FEATURES.view(np.uint32) & 0xFFFF0000).view(np.float32)  # what a model computed in bfloat16
    codec = Bfloat16(token_shape=(32,))
    assert np.array_equal(codec.decode(codec.encode(exact), 5), exact)
    assert (np.abs(codec.decode(codec.encode(FEATURES), 5) - FEATURES) <= np.abs(FEATURES) / 256).all()
    scaled = Int8.calibrated(FEATURES)
    half_a_step = np.abs(FEATURES).max(0) / 254
    assert (np.abs(scaled.decode(scaled.encode(FEATURES), 5) - FEATURES) <= half_a_step * 1.001).all()
    limits = np.abs(FEATURES).max(0)
    saturated = scaled.decode(scaled.encode(10 * FEATURES), 5)
    assert np.allclose(saturated, np.clip(10 * FEATURES, -limits, limits), atol=limits.max() / 254)


def test_shuffled_features_are_smaller_than_raw() -> None:
    values = np.random.default_rng(1).normal(size=(40, 768)).astype(np.float16)
    shuffled, raw = (codec(dtype="<f2", token_shape=(768,)).encode(values) for codec in (Shuffled, Raw))
    assert len(shuffled) < 0.92 * len(raw)


@given(arrays(np.uint8, array_shapes(min_dims=4, max_dims=5, max_side=5)), st.booleans())
def test_predicted_gives_every_value_back(values: np.ndarray, deep: bool) -> None:
    if deep:
        values = values.astype(np.uint16) * 257
    codec = Predicted(dtype="<u2" if deep else "|u1", token_shape=values.shape[1:])
    assert np.array_equal(codec.decode(codec.encode(values), len(values)), values)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_payload(data: bytes) -> None:
    for codec in (Predicted(token_shape=(2, 2, 3)), Shuffled(dtype="<f2", token_shape=(3,)), Webp(), Avif(), Jxl()):
        with pytest.raises(ValueError):
            codec.decode(data, 1_000_000)


def test_a_codec_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UnsupportedFormat, match=r"codec jxl: .*pip install 'dist-mcl\[jxl\]'"):
        Jxl().encode(PATCHES)
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UnsupportedFormat, match=r"codec avif: .*install Pillow"):
        Avif().decode(b"x", 1)


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding("int8", '{"scales":"AAAAAA==","token_shape":[1]}'),
        Encoding("int8", '{"scales":"AACAPw==","token_shape":[2]}'),
        Encoding("int8", '{"scales":"x","token_shape":[1]}'),
        Encoding("predicted", '{"token_shape":[3,3]}'),
        Encoding("jpeg", '{"frames":0}'),
        Encoding("raw", '{"dtype":"|O"}'),
    ],
)
def test_parameters_that_make_no_sense_are_damage(encoding: Encoding) -> None:
    with pytest.raises(Damaged, match=f"seg: codec '{encoding.codec}' has a bad"):
        codec_of(encoding, "seg")


def test_parameters_of_still_pictures_do_not_speak_of_frames() -> None:
    assert "frames" not in Jpeg().encoding.params and '"frames":2' in Jpeg(frames=2).encoding.params

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dist_mcl.modalities.depth import DepthPatches, map_of, patches
from dist_mcl.modalities.media import MediaError
from exemplar_store.forms import form_of


def png(numbers: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "PNG")
    file.seek(0)
    return file


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_patches_and_maps_are_each_other_undone(rows: int, columns: int, patch: int, seed: int) -> None:
    depth = np.random.default_rng(seed).integers(0, 65536, (rows * patch, columns * patch), dtype=np.uint16)
    tokens = patches(depth, patch)
    assert tokens.grid == (rows, columns) and tokens.values.shape == (rows * columns, patch, patch)
    assert form_of(tokens) == "depth"
    np.testing.assert_array_equal(map_of(tokens), depth)


def test_what_was_not_measured_stays_so_when_scaled() -> None:
    depth = np.zeros((20, 20), np.uint16)
    depth[:10] = 1000
    scaled = map_of(DepthPatches(side=48, patch=16).encode(depth))
    assert scaled.shape == (48, 48) and sorted(np.unique(scaled).tolist()) == [0, 1000]
    assert (scaled[:24] == 1000).all() and (scaled[24:] == 0).all()


def test_dropped_patches_are_not_measured() -> None:
    depth = np.full((32, 32), 7, np.uint16)
    assert map_of(patches(depth, 16).take(np.array([3]))).sum() == 7 * 16 * 16


def test_16_and_8_bit_files_are_read() -> None:
    tokenizer = DepthPatches(16, 16)
    numbers = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    np.testing.assert_array_equal(tokenizer.read(png(numbers)), numbers)
    np.testing.assert_array_equal(tokenizer.read(png((numbers // 257).astype(np.uint8))), numbers)


def test_other_files_are_refused() -> None:
    tokenizer = DepthPatches(16, 16)
    with pytest.raises(MediaError, match="the depth map cannot be read"):
        tokenizer.read(io.BytesIO(b"no picture"))
    with pytest.raises(MediaError, match="no grey picture of 8 or 16 bits, its mode is RGB"):
        tokenizer.read(png(np.zeros((4, 4, 3), np.uint8)))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="a depth map is uint16"):
        DepthPatches(16, 16).encode(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="does not divide"):
        patches(np.zeros((20, 16), np.uint16), 16)

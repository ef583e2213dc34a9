import numpy as np
import pytest

from dist_mcl.modalities.image import ShortSidePatches, SquarePatches, patch_coverage, patchify, unpatchify


def picture(height: int = 96, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_patches_are_cut_row_after_row() -> None:
    pixels = picture()
    tokens = patchify(pixels)
    assert tokens.grid == (6, 6)
    assert tokens.values.shape == (36, 16, 16, 3) and tokens.values.dtype == np.uint8
    assert tokens.positions.tolist() == list(range(36))
    np.testing.assert_array_equal(tokens.values[6 * 2 + 3], pixels[32:48, 48:64])


def test_unpatchify_undoes_patchify_on_any_grid() -> None:
    pixels = picture(24, 40)
    np.testing.assert_array_equal(unpatchify(patchify(pixels, patch=8)), pixels)


def test_places_without_a_patch_are_filled() -> None:
    pixels = picture()
    kept = patchify(pixels).take(np.array([7, 20]))
    shown = unpatchify(kept, fill=9)
    expected = np.full_like(pixels, 9)
    expected[16:32, 16:32] = pixels[16:32, 16:32]
    expected[48:64, 32:48] = pixels[48:64, 32:48]
    np.testing.assert_array_equal(shown, expected)


def test_coverage_is_the_share_of_each_patch() -> None:
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[0:16, 16:32] = True
    mask[16:20, 0:16] = True
    assert patch_coverage(mask).tolist() == [0.0, 1.0, 0.25, 0.0]


@pytest.mark.parametrize(
    "wrong", [np.zeros((96, 96, 4), np.uint8), np.zeros((96, 96, 3), np.float32), np.zeros((90, 96, 3), np.uint8)]
)
def test_other_pictures_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        patchify(wrong)


def test_pictures_of_any_size_are_scaled_as_a_backbone_wants_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 120, 3), dtype=np.uint8)
    square, wide = SquarePatches(side=32, patch=8), ShortSidePatches(side=32, patch=8)
    assert square.encode(picture).grid == (4, 4)
    assert wide.encode(picture).grid == (2, 6)  # 22 x 53 pixels, for 53 is the longest side beside 32
    assert wide.encode(picture[:, :60]).grid == (4, 4)
    as_it_is = picture[:32, :32]
    np.testing.assert_array_equal(unpatchify(square.encode(as_it_is)), as_it_is)
    with pytest.raises(ValueError, match="a picture is uint8"):
        wide.encode(picture[..., 0])

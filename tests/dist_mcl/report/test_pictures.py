import io

import numpy as np
import pytest
from PIL import Image

from dist_mcl.report import ExemplarPicture
from dist_mcl.report.pictures import masked_png


def exemplar(picture: np.ndarray, kept: np.ndarray) -> ExemplarPicture:
    return ExemplarPicture("arrow", 0, picture, kept, [], 100)


def test_kept_patches_are_exact_and_dropped_ones_are_gone() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    kept = np.zeros((6, 4), np.bool_)
    kept[0, 1] = kept[5, 3] = True
    pixels = np.asarray(Image.open(io.BytesIO(masked_png(exemplar(picture, kept)))))
    assert pixels.shape == (96, 64, 4)
    assert np.array_equal(pixels[:16, 16:32, :3], picture[:16, 16:32])
    assert np.array_equal(pixels[80:, 48:, :3], picture[80:, 48:])
    opaque = pixels[..., 3] == 255
    assert opaque.sum() == 2 * 16 * 16 and not pixels[~opaque].any()


@pytest.mark.parametrize(
    ("picture", "kept", "message"),
    [
        (np.zeros((96, 96), np.uint8), np.ones((6, 6), np.bool_), "picture must be"),
        (np.zeros((96, 96, 3), np.float32), np.ones((6, 6), np.bool_), "picture must be"),
        (np.zeros((96, 96, 3), np.uint8), np.ones(36, np.bool_), "kept must be"),
        (np.zeros((96, 96, 3), np.uint8), np.ones((7, 6), np.bool_), "does not divide"),
    ],
)
def test_wrong_shapes_are_refused(picture: np.ndarray, kept: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exemplar(picture, kept)

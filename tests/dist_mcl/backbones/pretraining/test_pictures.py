"""What the student is shown."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dist_mcl.backbones.pretraining import sources
from dist_mcl.backbones.pretraining.compose import Picture, compose, patches
from dist_mcl.backbones.pretraining.items import cut_out
from dist_mcl.scenario.tables import read_objects, shipped_folder


@pytest.fixture
def red_square() -> np.ndarray:
    drawing = np.zeros((96, 96, 4), np.uint8)
    drawing[8:88, 8:88] = (250, 10, 10, 255)
    return drawing


@pytest.fixture
def photographs() -> list[Image.Image]:
    return [Image.new("RGB", (400, 300), colour) for colour in ((10, 40, 200), (0, 90, 20))]


def test_the_outline_is_where_the_object_is(red_square: np.ndarray, photographs: list[Image.Image]) -> None:
    shares = []
    for seed in range(40):
        picture = compose(red_square, photographs, np.random.default_rng(seed))
        red = picture.pixels[..., 0].astype(int) - picture.pixels[..., 1] > 100
        if not picture.pixels[~picture.object].std(axis=0).max() > 60:  # unless the background happens to be reddish
            assert (red == picture.object).mean() > 0.97
        shares.append(picture.object.mean())
    assert min(shares) < 0.2 < 0.4 < max(shares), "objects come small and large"


def test_a_generator_gives_the_same_picture_again(red_square: np.ndarray, photographs: list[Image.Image]) -> None:
    first, again, other = (compose(red_square, photographs, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_patches_keep_their_places_and_the_object(red_square: np.ndarray) -> None:
    pixels = np.arange(96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)
    outline = np.zeros((96, 96), np.bool_)
    outline[32:48, 16:32] = True  # the patch in row 2, column 1
    found = [patches(Picture(pixels, outline), np.random.default_rng(seed)) for seed in range(60)]
    counts = [len(tokens) for tokens in found]
    assert max(counts) == 36 and min(counts) < 20
    assert 0.35 < np.mean([count == 36 for count in counts]) < 0.65
    for tokens in found:
        for value, position in zip(tokens.values, tokens.positions, strict=True):
            row, column = divmod(int(position), 6)
            assert np.array_equal(value, pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16])
    assert np.mean([13 in tokens.positions for tokens in found]) > 0.8


def test_cutting_out_fills_the_square_and_refuses_slivers() -> None:
    wide = Image.new("RGBA", (300, 200))
    wide.paste((0, 0, 255, 255), (100, 50, 180, 90))
    drawing = cut_out(wide)
    assert drawing is not None
    rows, columns = np.nonzero(drawing[..., 3])
    assert (columns.min(), columns.max()) == (0, 95) and (rows.min(), rows.max()) == (24, 71)
    assert cut_out(Image.new("RGBA", (50, 50))) is None
    assert cut_out(Image.new("RGBA", (90, 10), "red")) is None


def test_no_class_of_the_emoji_set_is_pretrained_on() -> None:
    _, info = read_objects(shipped_folder("emoji"))
    classes = set(info.classes)
    assert len(classes) == 37
    assert not classes & sources.EMOJI_SUBGROUPS

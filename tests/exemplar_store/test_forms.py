"""Drawings of every form of modality: kept tokens in their places, hatching where tokens were dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exemplar_store import StoreReader, Tokens
from exemplar_store.forms import draw_form, form_of
from exemplar_store.style import HATCH_INK, HATCH_PAPER

RNG = np.random.default_rng(0)
GOLDEN = Path(__file__).parent / "golden" / "store-1.1"
HATCH = {tuple(bytes.fromhex(colour[1:])) for colour in (HATCH_PAPER, HATCH_INK)}
FULL = {
    "picture": Tokens.full(RNG.integers(0, 200, (6, 8, 8, 3)).astype(np.uint8), (2, 3)),
    "video": Tokens.full(RNG.integers(0, 200, (12, 2, 8, 8, 3)).astype(np.uint8), (2, 2, 3)),
    "depth": Tokens.full(RNG.integers(1, 60_000, (6, 8, 8)).astype(np.uint16), (2, 3)),
    "sound": Tokens.full(RNG.normal(size=(6, 8, 4)).astype(np.float32), (2, 3)),
    "points": Tokens.full(RNG.normal(size=(6, 9, 3)).astype(np.float16), (6,)),
    "features": Tokens.full(RNG.normal(size=(6, 16)).astype(np.float32), (6,)),
}


def colours(tokens: Tokens, width: int, height: int) -> np.ndarray:
    return np.asarray(draw_form(tokens, width, height))


def hatched(pixels: np.ndarray) -> bool:
    return {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()} <= HATCH


@pytest.mark.parametrize("form", FULL)
@pytest.mark.parametrize("size", [(132, 132), (240, 60), (65, 200), (5, 5)])
def test_every_form_fits_its_box(form: str, size: tuple[int, int]) -> None:
    assert form_of(FULL[form]) == form
    for tokens in (FULL[form], FULL[form].take(np.array([1, 4])), FULL[form].take(np.zeros(0, np.int64))):
        drawn = colours(tokens, *size)
        least = 12 if form == "video" else 0  # a video of many frames does not get smaller than its gaps
        assert drawn.shape[0] <= max(size[1], least) and drawn.shape[1] <= max(size[0], least)
        assert len(tokens) or hatched(drawn) or form == "video"


@pytest.mark.parametrize("form", ["picture", "depth", "sound"])
def test_patches_lie_in_their_places(form: str) -> None:
    drawn = colours(FULL[form].take(np.array([1, 5])), 120, 80)
    rows, columns = (np.array_split(np.arange(side), count) for side, count in zip(drawn.shape, (2, 3), strict=False))
    for place in range(6):
        row, column = divmod(place, 3)
        row = 1 - row if form == "sound" else row  # low frequencies are at the bottom
        assert hatched(drawn[np.ix_(rows[row], columns[column])]) == (place not in (1, 5))


def test_frames_follow_each_other() -> None:
    values = np.zeros((2, 2, 8, 8, 3), np.uint8)
    values[:] = np.array([[40, 80], [120, 160]])[:, :, None, None, None]
    drawn = colours(Tokens.full(values, (2, 1, 1)), 400, 100)
    brightness = [int(drawn[50, x].mean()) for x in (50, 150, 250, 350)]
    assert brightness == [40, 80, 120, 160]
    gone = colours(Tokens.full(values, (2, 1, 1)).take(np.array([1])), 400, 100)
    assert hatched(gone[:97, :97]) and not hatched(gone[:97, 210:290])


def test_signs_of_features_have_colours() -> None:
    drawn = colours(Tokens.full(np.array([[1.0], [-1.0]], np.float32), (2,)), 100, 50)
    red, blue = drawn[25, 25].astype(int), drawn[25, 75].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_points_are_scattered_around_their_centres() -> None:
    groups = np.zeros((2, 2, 3), np.float16)
    groups[:, 0, 2] = [0, 5]  # one centre above the other
    drawn = colours(Tokens.full(groups, (2,)), 200, 200)
    ys, xs = np.nonzero((drawn[3:-3, 3:-3] < 200).any(-1))
    assert np.ptp(xs) < 5 and ys.min() < 40 and ys.max() > 150


def test_forms_of_the_golden_store() -> None:
    reader = StoreReader(GOLDEN)
    found = {
        name: form_of(tokens) for one in reader.read_many(range(len(reader))) for name, tokens in one.tokens.items()
    }
    assert found.pop("image") == "picture"
    assert {found.pop(name) for name in ("features_f2", "features_bf16", "features_i1")} == {"features"}
    assert found == {name: name for name in ("depth", "points", "sound", "text", "video")}


def test_absurd_grids_draw_small_pictures() -> None:
    wide = {"picture": (1, 1 << 24), "depth": (1 << 24, 1), "sound": (1, 1 << 24), "video": (1 << 22, 2, 2)}
    for form, grid in wide.items():
        values = FULL[form].values[:1]
        assert max(draw_form(Tokens(values, np.array([7]), grid), 132, 132).size) <= 132
